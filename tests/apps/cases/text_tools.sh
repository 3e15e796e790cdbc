awk 'BEGIN { for (i = 0; i < 5; i++) s += i * i; print s }'; seq 100 | awk '{ s += $1 } END { print s }'
echo hello world | sed 's/o/0/g; s/\(w\)/<\1>/'; seq 10 | sed -n '3,5p'; printf 'x=1\ny=2\n' | grep -E '^y' ; grep -rc define /usr/include/stdio.h
find /usr/include -maxdepth 1 -name 'std*.h' | sort; seq 40 | xargs -P4 -n5 echo | wc -l; perl -e 'print join(",", map { $_ * 2 } 1..5), "\n"'
perl -e 'my $p = open(my $f, "-|", "echo", "child"); print <$f>; close $f; print $? >> 8, "\n"; $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select(undef, undef, undef, 3); print "done\n"'
