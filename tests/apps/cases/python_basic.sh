python3 - <<'P'
import os, sys, subprocess, threading, sqlite3, tempfile, json, time, signal, socket, select, mmap, struct, hashlib
print(subprocess.run(["sh", "-c", "echo sub; exit 5"], capture_output=True))
r = []
ts = [threading.Thread(target=lambda i=i: r.append(i * i)) for i in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]
print(sorted(r))
c = sqlite3.connect("t.db"); c.execute("create table t(a, b)")
c.executemany("insert into t values (?, ?)", [(i, str(i)) for i in range(1000)]); c.commit()
print(c.execute("select count(*), sum(a) from t").fetchone()); c.close()
a, b = socket.socketpair(); a.send(b"ping"); print(b.recv(10))
p = select.poll(); p.register(b, select.POLLIN); print(p.poll(0)); a.close(); print([e for _, e in p.poll(100)])
m = mmap.mmap(-1, 8192); m[:5] = b"hello"; pid = os.fork()
if pid == 0:
    m[5:10] = b"world"; os._exit(3)
print(os.waitpid(pid, 0)[1] >> 8, bytes(m[:10]))
signal.signal(signal.SIGALRM, lambda *x: print("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.05); signal.pause()
t = time.monotonic(); time.sleep(0.05); print(time.monotonic() - t >= 0.05)
with open("f", "w+b") as f:
    f.write(b"x" * 5000); f.flush(); mm = mmap.mmap(f.fileno(), 0); mm[0:1] = b"y"; mm.flush(); f.seek(0); print(f.read(3), len(mm))
print(sorted(os.listdir(".")), sys.byteorder, os.path.exists("/proc/self/status"), hashlib.sha1(b"a").hexdigest())
try:
    os.open("/nonexistent", os.O_RDONLY)
except OSError as e:
    print(e)
P
