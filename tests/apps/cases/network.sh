# Programs on loopback: servers and clients of several kinds.
python3 - <<'P'
import socket, threading, http.server, urllib.request, socketserver, asyncio
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"x" * 300000 if self.path == "/big" else self.path.encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
threading.Thread(target=s.serve_forever, daemon=True).start()
base = "http://127.0.0.1:%d" % s.server_port
print(urllib.request.urlopen(base + "/hello").read(), len(urllib.request.urlopen(base + "/big").read()))
def get(i, out): out[i] = len(urllib.request.urlopen(base + "/big").read())
out = {}; ts = [threading.Thread(target=get, args=(i, out)) for i in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]; print(sum(out.values()))
async def main():
    async def echo(r, w):
        while (d := await r.read(65536)): w.write(d); await w.drain()
        w.close()
    srv = await asyncio.start_server(echo, "::1", 0); port = srv.sockets[0].getsockname()[1]
    async def one(n):
        r, w = await asyncio.open_connection("::1", port)
        w.write(b"z" * n); w.write_eof(); d = await r.read(); w.close(); return len(d)
    print(await asyncio.gather(*[one(n) for n in (1, 1000, 100000, 1000000)]))
asyncio.run(main())
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0))
for n in (0, 1, 1472, 1473, 9000, 65507): u.sendto(b"u" * n, u.getsockname()); print(len(u.recv(70000)))
print(socket.getaddrinfo("localhost", 80, socket.AF_INET, socket.SOCK_STREAM)[0][4])
P
if command -v redis-server >/dev/null; then
  redis-server --port 7391 --save '' --daemonize yes >/dev/null
  for i in 1 2 3 4 5 6 7 8 9 10; do redis-cli -p 7391 ping 2>/dev/null | grep -q PONG && break; sleep 0.2; done
  redis-cli -p 7391 set key value; redis-cli -p 7391 get key
  redis-cli -p 7391 eval 'local n = 0; for i = 1, 1000 do redis.call("rpush", "l", i); n = n + 1 end; return n' 0
  redis-cli -p 7391 llen l; redis-cli -p 7391 shutdown nosave
fi
if command -v nginx >/dev/null && command -v curl >/dev/null; then
  d=$(mktemp -d); chmod 755 $d; mkdir $d/www; seq 1 20000 > $d/www/f
  cat > $d/c <<C
daemon on; pid $d/pid; error_log /dev/null; worker_processes 2;
events { worker_connections 64; }
http { access_log off; client_body_temp_path $d/b; proxy_temp_path $d/p; fastcgi_temp_path $d/fc; uwsgi_temp_path $d/u; scgi_temp_path $d/s;
  server { listen 127.0.0.1:7392; root $d/www; } }
C
  nginx -c $d/c -e /dev/null
  curl -s http://127.0.0.1:7392/f | md5sum
  curl -s -o /dev/null -w '%{http_code} %{size_download}\n' http://127.0.0.1:7392/f http://127.0.0.1:7392/none
  curl -s -r 100-199 http://127.0.0.1:7392/f | wc -c
  kill $(cat $d/pid); rm -rf $d
fi
