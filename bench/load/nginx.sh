# wrk with 64 connections and two threads against two workers: files of 1 and 100 KB, requests a second.
mkdir www
head -c 1024 /dev/zero >www/1k
head -c 102400 /dev/zero >www/100k
cat >conf <<N
daemon off;
user root;
worker_processes 2;
pid $DIR/pid;
error_log $DIR/error;
events { worker_connections 512; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
    client_body_temp_path $DIR/body; proxy_temp_path $DIR/proxy; fastcgi_temp_path $DIR/f; uwsgi_temp_path $DIR/u;
    scgi_temp_path $DIR/s;
    server { listen 127.0.0.1:8090; root $DIR/www; } }
N
served 8090 nginx -c "$DIR/conf" -p "$DIR" -e "$DIR/error"
for size in 1k 100k; do
    wrk -t2 -c64 -d"$SECONDS_EACH" "http://127.0.0.1:8090/$size" | awk -v size=$size '/^Requests\/sec/ { print "nginx-" size, $2 }'
done
