"""Raw and packet sockets, multicast, error queues and options: a line each of what came of it."""
import socket, struct, os, select, errno, sys, fcntl
S=socket
def t(name, f):
    try: r=f()
    except OSError as e: r=errno.errorcode.get(e.errno,e.errno)
    except Exception as e: r=repr(e)
    print(name, r)
def csum(b):
    s=sum(struct.unpack('!%dH'%(len(b)//2),b)); s=(s>>16)+(s&0xffff); s+=s>>16; return ~s&0xffff
def echo():
    b=struct.pack('!BBHHH',8,0,0,77,1)+b'x'*8
    return b[:2]+struct.pack('!H',csum(b))+b[4:]
def raw():
    s=S.socket(2,3,1); s.settimeout(2); s.sendto(echo(),('127.0.0.1',0))
    out=[]
    for _ in range(2):
        d,a=s.recvfrom(100); out.append((len(d),d[9],d[20],a))
    return out, s.getsockname()
t('raw icmp',raw)
def rawfilter():
    s=S.socket(2,3,1); s.settimeout(2); s.setsockopt(255,1,struct.pack('I',~(1<<0)&0xffffffff))
    s.sendto(echo(),('127.0.0.1',0)); d,a=s.recvfrom(100); return d[20], s.getsockopt(255,1,4)
t('icmp filter',rawfilter)
t('raw proto0',lambda: S.socket(2,3,0))
t('raw hdrincl get',lambda: (S.socket(2,3,255).getsockopt(0,3),S.socket(2,3,1).getsockopt(0,3)))
def hdr():
    s=S.socket(2,3,255); r=S.socket(2,3,253); r.settimeout(2)
    s.sendto(struct.pack('!BBHHHBBH4s4s',0x45,0,0,1,0,9,253,0,S.inet_aton('127.0.0.1'),S.inet_aton('127.0.0.1'))+b'hi',('127.0.0.1',0))
    d,a=r.recvfrom(100); return d[0],d[2:4],d[8],d[-2:],a, csum(d[:20])
t('hdrincl',hdr)
t('raw connect',lambda: (lambda s:(s.connect(('127.0.0.1',5)),s.getsockname()))(S.socket(2,3,1)))
def raw6():
    s=S.socket(10,3,58); s.settimeout(2)
    f=[0xffffffff]*8; f[129//32]&=~(1<<(129%32)); s.setsockopt(58,1,struct.pack('8I',*f))
    s.setsockopt(41,51,1)
    s.sendto(struct.pack('!BBHHH',128,0,0,7,1)+b'y'*8,('::1',0)); d,anc,fl,a=s.recvmsg(100,200); return d[0],len(d),a,anc,s.getsockopt(41,7)
t('raw6',raw6)
def raw6c():
    s=S.socket(10,3,253); s.setsockopt(41,7,2); s.settimeout(2); s.sendto(b'\0'*8,('::1',0)); d,a=s.recvfrom(100); return d.hex(),a
t('raw6 checksum',raw6c)
t('raw6 checksum icmp', lambda: S.socket(10,3,58).setsockopt(41,7,2))
t('raw6 checksum odd', lambda: S.socket(10,3,253).setsockopt(41,7,3))
def pkt():
    p=S.socket(17,3,S.htons(3)); p.bind(('lo',3)); p.settimeout(2)
    u=S.socket(2,2); u.sendto(b'abc',('127.0.0.1',9))
    out=[]
    for _ in range(2):
        d,a=p.recvfrom(2000); out.append((len(d),a,d[:14].hex()))
    return out,p.getsockname()
t('packet',pkt)
def pktd():
    p=S.socket(17,2,S.htons(0x800)); p.setsockopt(263,8,1); p.settimeout(2)
    u=S.socket(2,2); u.sendto(b'abc',('127.0.0.1',9))
    d,anc,fl,a=p.recvmsg(2000,200); 
    return len(d),a,[(x[0],x[1],len(x[2]),x[2][4:].hex()) for x in anc], p.getsockopt(263,6,8)
t('packet dgram',pktd)
def pf():
    p=S.socket(17,3,S.htons(3)); p.bind(('lo',3)); p.settimeout(0.3)
    import ctypes
    prog=struct.pack('HBBI',6,0,0,0); b=ctypes.create_string_buffer(prog)
    p.setsockopt(1,26,struct.pack('HxxxxxxQ',1,ctypes.addressof(b)))
    u=S.socket(2,2); u.sendto(b'abc',('127.0.0.1',9))
    try: p.recv(100); return 'got'
    except OSError as e: pass
    p.setsockopt(1,27,0)
    u.sendto(b'abc',('127.0.0.1',9)); return len(p.recv(100))
t('filter',pf)
t('hdrlen',lambda:(S.socket(17,3,0).getsockopt(263,11,4)))
def snd():
    p=S.socket(17,3,0); p.bind(('lo',0)); r=S.socket(17,3,S.htons(0x88b5)); r.settimeout(2)
    n=p.send(b'\0'*12+b'\x88\xb5'+b'data'); d,a=r.recvfrom(100); return n,d[14:],a
t('packet send',snd)
def mc():
    r=S.socket(2,2); r.bind(('',5005)); r.settimeout(2)
    r.setsockopt(0,35,S.inet_aton('239.1.2.3')+S.inet_aton('127.0.0.1'))
    s=S.socket(2,2); s.setsockopt(0,32,S.inet_aton('127.0.0.1')); s.sendto(b'm',('239.1.2.3',5005)); return r.recvfrom(10)[0], s.getsockopt(0,32,4)
t('mcast',mc)
t('mcast again',lambda:[s:=S.socket(2,2)]+[s.setsockopt(0,35,S.inet_aton('239.1.2.3')+S.inet_aton('127.0.0.1')) for _ in '12'])
t('mcast drop none',lambda:S.socket(2,2).setsockopt(0,36,S.inet_aton('239.1.2.3')+S.inet_aton('127.0.0.1')))
t('mcast not group',lambda:S.socket(2,2).setsockopt(0,35,S.inet_aton('10.1.2.3')+S.inet_aton('127.0.0.1')))
t('mcast no if',lambda:S.socket(2,2).setsockopt(0,35,S.inet_aton('239.1.2.3')+S.inet_aton('9.9.9.9')))
t('mcast tcp',lambda:S.socket(2,1).setsockopt(0,35,S.inet_aton('239.1.2.3')+S.inet_aton('127.0.0.1')))
t('mcast if bad',lambda:S.socket(2,2).setsockopt(0,32,S.inet_aton('9.9.9.9')))
t('mcast6 if bad',lambda:S.socket(10,2).setsockopt(41,17,77))
def src():
    r=S.socket(2,2); r.bind(('',5006)); r.settimeout(.5); lo=S.inet_aton('127.0.0.1')
    r.setsockopt(0,39,S.inet_aton('239.1.2.4')+lo+S.inet_aton('127.0.0.9'))
    s=S.socket(2,2); s.setsockopt(0,32,lo); s.sendto(b'm',('239.1.2.4',5006))
    out=[]
    try: out.append(r.recv(10))
    except OSError as e: out.append('none')
    r.setsockopt(0,39,S.inet_aton('239.1.2.4')+lo+lo); s.sendto(b'n',('239.1.2.4',5006)); out.append(r.recv(10))
    out.append(r.getsockopt(0,41,16+8)) if 0 else None
    return out
t('ssm',src)
def m6():
    r=S.socket(10,2); r.bind(('::',5007)); r.settimeout(2)
    r.setsockopt(41,20,S.inet_pton(10,'ff15::9')+struct.pack('i',1))
    s=S.socket(10,2); s.setsockopt(41,17,1); s.sendto(b'6',('ff15::9',5007)); return r.recv(9), s.getsockopt(41,17)
t('mcast6',m6)
def g():
    r=S.socket(2,2); ss=struct.pack('H2x4s',2,S.inet_aton('239.1.2.5')).ljust(128,b'\0')
    r.setsockopt(0,42,struct.pack('I4x',1)+ss)
    r.setsockopt(0,45,struct.pack('I4x',1)+ss); r.setsockopt(0,45,struct.pack('I4x',1)+ss)
t('group_req',g)
def err():
    s=S.socket(2,2); s.setsockopt(0,11,1); s.connect(('127.0.0.1',1)); s.send(b'zz')
    p=select.poll(); p.register(s,select.POLLIN); ev=p.poll(1000)
    d,anc,fl,a=s.recvmsg(100,200,0x2000)
    e=anc[0]; return ev[0][1],d,fl,a,e[0],e[1],e[2].hex(),s.getsockopt(1,4)
t('errqueue',err)
def err6():
    s=S.socket(10,2); s.setsockopt(41,25,1); s.connect(('::1',1)); s.send(b'zz')
    p=select.poll(); p.register(s,select.POLLIN); ev=p.poll(1000)
    d,anc,fl,a=s.recvmsg(100,200,0x2000)
    e=anc[0]; return ev[0][1],d,fl,a[:2],e[0],e[1],e[2].hex()
t('errqueue6',err6)
t('errqueue empty',lambda:S.socket(2,2).recvmsg(1,1,0x2000))
def ov():
    s=S.socket(2,2); s.setsockopt(1,40,1); s.bind(('127.0.0.1',0)); s.setsockopt(1,8,2304)
    c=S.socket(2,2)
    for i in range(100): c.sendto(b'x'*500,s.getsockname())
    s.settimeout(1); n=0
    s.recvmsg(1000,100)
    c.sendto(b'last',s.getsockname())
    while 1:
        d,anc,_,_=s.recvmsg(1000,100)
        if d==b'last': return [(x[0],x[1],struct.unpack('I',x[2])[0]>50) for x in anc]
t('ovfl',ov)
t('pacing',lambda:[s:=S.socket(2,1),s.getsockopt(1,47),s.setsockopt(1,47,100000),s.getsockopt(1,47)][1:])
t('incoming cpu get',lambda:S.socket(2,1).getsockopt(1,49))
t('zerocopy',lambda:S.socket(2,1).setsockopt(1,60,1))
t('unicast if',lambda:[s:=S.socket(2,2),s.setsockopt(0,50,S.htonl(1)),S.ntohl(s.getsockopt(0,50))][1:])
t('unicast if bad',lambda:S.socket(2,2).setsockopt(0,50,S.htonl(77)))
t('ip options',lambda:[s:=S.socket(2,2),s.setsockopt(0,4,b'\x01\x01\x01\x01'),s.getsockopt(0,4,40)][1:])
t('ip options bad',lambda:S.socket(2,2).setsockopt(0,4,b'\x07\x09\x01\x01'))
def udpshut():
    s=S.socket(2,2); s.connect(('127.0.0.1',9)); s.shutdown(0); return s.recv(5)
t('udp shut rd',udpshut)
import mmap
def seen(b,at):
    f=struct.unpack_from('H8sI',b,at)[0]; return f,b[at+2:at+4].hex(),b[at+10] # sockaddr_ll: family, protocol, packet type
def only_udp(p,at): # reports of groups come when they will
    import ctypes
    prog=struct.pack('HBBI'*4,0x30,0,0,at,0x15,0,1,17,6,0,0,0xffff,6,0,0,0); b=ctypes.create_string_buffer(prog)
    p.setsockopt(1,26,struct.pack('HxxxxxxQ',4,ctypes.addressof(b)))
def frames(version):
    p=S.socket(17,3,0); only_udp(p,23); p.bind(('lo',0x800)); p.setsockopt(263,10,version)
    p.setsockopt(263,5,struct.pack('4I',4096,2,1024,8)); b=mmap.mmap(p.fileno(),8192)
    u=S.socket(2,2); u.bind(('127.0.0.1',0)); u.connect(u.getsockname()); out=[]
    for i in range(20):
        u.send(bytes([65+i])*(i*90)); at=i%8*1024; u.recv(9000)
        while not b[at]: select.select([p],[],[],20)
        status,size,snap,mac,net=struct.unpack_from('QIIHH' if version==0 else 'IIIHH',b,at)
        out.append((hex(status),size,snap,mac,net,seen(b,at+32),b[at+mac+snap-1:at+mac+snap]))
        struct.pack_into('Q' if version==0 else 'I',b,at,0)
    return out
for v in (0,1):
    for line in frames(v): print('ring of version',v+1,line)
def blocks(version,private,kind):
    p=S.socket(17,kind,0); only_udp(p,23 if kind==3 else 9); p.bind(('lo',0x800)); p.setsockopt(263,10,version)
    p.setsockopt(263,5,struct.pack('7I',16384,2,2048,16,10,private,0)); b=mmap.mmap(p.fileno(),32768)
    u=S.socket(2,2); u.bind(('127.0.0.1',0)); u.connect(u.getsockname()); out=[]; block=0; total=0
    for i in range(60):
        u.send(bytes([48+i])*(i*40)); u.recv(9000)
        if i%3<2: continue # three at a time, in one block or more
        while len(out)<=i:
            at=block%2*16384
            while not b[at+8]: select.select([p],[],[],20)
            ver,priv,status,count,first,used,number=struct.unpack_from('IIIIIIQ',b,at)
            if (ver,priv,number)!=(2,48,block+1) or not status&1: return 'block',ver,priv,status,number
            k=at+first; end=k
            for n in range(count):
                nxt,sec,nsec,snap,size,st,mac,net=struct.unpack_from('IIIIIIHH',b,k)
                out.append((size,snap,hex(st),mac,net,seen(b,k+48),b[k+mac+snap-1:k+mac+snap],bool(sec)))
                end=k+(mac+snap+7)//8*8
                if (nxt==0)!=(n==count-1): return 'next',nxt,n,count
                k+=nxt
            if end-at!=used: return 'used',end-at,used
            struct.pack_into('I',b,at+8,0); block+=1
    return out,len(p.getsockopt(263,6,100))
for private,kind in ((0,3),(13,3),(0,2)):
    for line in blocks(2,private,kind)[0]: print('ring of version 3',private,kind,line)
def ring(*q):
    p=S.socket(17,3,0); p.setsockopt(263,10,2); p.setsockopt(263,5,struct.pack('%dI'%len(q),*q)); return 'ok'
t('ring3 short',lambda:ring(4096,2,2048,4))
t('ring3',lambda:ring(4096,2,2048,4,10,0,0))
t('ring3 private',lambda:ring(4096,2,2048,4,10,4096-48-68,0))
t('ring3 private fits',lambda:ring(4096,2,2048,4,10,4096-48-68-8,0))
t('ring3 private huge',lambda:ring(4096,2,2048,4,10,0xffffffff,0))
t('ring3 frame',lambda:ring(4096,2,64,128,10,0,0))
t('ring3 least frame',lambda:ring(4096,2,80,102,10,0,0))
t('ring version',lambda:S.socket(17,3,0).setsockopt(263,10,3))
