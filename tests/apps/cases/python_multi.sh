python3 - <<'P'
import asyncio, multiprocessing as mp, os, concurrent.futures as cf
def sq(x): return x * x
async def main():
    p = await asyncio.create_subprocess_exec("echo", "async child", stdout=asyncio.subprocess.PIPE)
    print((await p.communicate())[0], p.returncode)
    print(await asyncio.gather(*(asyncio.sleep(0.01, i) for i in range(5))))
    q = asyncio.Queue()
    async def prod():
        for i in range(10): await q.put(i)
        await q.put(None)
    t = asyncio.create_task(prod()); s = 0
    while (v := await q.get()) is not None: s += v
    print(s); await t
if __name__ == "__main__":
    with mp.Pool(3) as p: print(p.map(sq, range(10)))
    q = mp.Queue(); pr = mp.Process(target=lambda: q.put(os.getpid() != 0)); pr.start(); print(q.get()); pr.join(); print(pr.exitcode)
    with cf.ThreadPoolExecutor(4) as ex: print(list(ex.map(sq, range(6))))
    v = mp.Value("i", 0)
    def inc():
        for _ in range(200):
            with v.get_lock(): v.value += 1
    ps = [mp.Process(target=inc) for _ in range(4)]; [x.start() for x in ps]; [x.join() for x in ps]; print(v.value)
    asyncio.run(main())
P
