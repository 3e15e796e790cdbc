bash -c 'set -m; sleep 30 & p=$!; kill -STOP $p; sleep 0.2; jobs | cut -c1-12; kill -TERM $p; kill -CONT $p; sleep 0.3; wait $p; echo status $?'
bash -c 'trap "echo got USR1" USR1; kill -USR1 $$; (exit 7) & wait $!; echo $?; sleep 0.1 & wait; echo waited'
bash -c 'cat <(echo one) <(echo two); coproc X { cat; }; echo hi >&${X[1]}; read -r l <&${X[0]}; echo "$l"; exec {X[1]}>&-'
bash -c 'kill -9 $$'; echo $?
bash -c 'set -o pipefail; false | true; echo $?; echo ${PIPESTATUS[@]}; ulimit -n 64; ulimit -n'
bash -c 'for i in {1..50}; do (exit $i) & p[i]=$!; done; n=0; for j in ${p[@]}; do wait $j; n=$((n+$?)); done; echo $n'
