mkdir src; for i in 1 2 3 4 5; do seq $((i * 1000)) >src/f$i; done; ln -s f1 src/link; ln src/f2 src/hard; chmod 600 src/f3
tar -cf a.tar --sort=name --mtime=@0 --owner=0 --group=0 src; md5sum <a.tar; gzip -n -9 -k a.tar; xz -k a.tar; ls -1
mkdir out; tar -xzf a.tar.gz -C out; diff -r src out/src && echo same; stat -c '%h %a' out/src/f2 out/src/f3; readlink out/src/link
xz -dc a.tar.xz | cmp - a.tar && echo xz same; gzip -t a.tar.gz; echo $?; tar -tf a.tar | sort
