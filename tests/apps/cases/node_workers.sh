cat >n.js <<'X'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const fs = require('fs'), { execFileSync, spawn } = require('child_process');
if (isMainThread) {
  let left = 3, out = [];
  for (let i = 0; i < 3; i++) new Worker(__filename, { workerData: i }).on('message', m => { out.push(m); }).on('exit', () => { if (--left === 0) { console.log(out.sort().join(' ')); next(); } });
  function next() {
    console.log(execFileSync('echo', ['child']).toString().trim());
    fs.writeFileSync('x', 'data'); console.log(fs.readFileSync('x', 'utf8'), fs.statSync('x').size);
    let n = 0; const t = setInterval(() => { if (++n === 3) { clearInterval(t); console.log('timer', n); const c = spawn('sh', ['-c', 'cat; exit 4']); c.stdout.on('data', d => console.log('' + d)); c.on('close', c => console.log('closed', c)); c.stdin.end('piped'); } }, 5);
  }
} else { let s = 0; for (let i = 0; i < 1e6; i++) s += i % (workerData + 2); parentPort.postMessage(s); }
X
node n.js
