/* System V shared memory: keys, rights, attachments over fork and exec, removal while attached. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 10000

static const char *err(long ret)
{
    return ret < 0 ? strerrorname_np(errno) : "ok";
}

static void show(const char *what, int id)
{
    struct shmid_ds ds;
    int ret = shmctl(id, IPC_STAT, &ds);

    if (ret < 0) {
        printf("%s: %s\n", what, err(ret));
        return;
    }
    printf("%s: size %zu attached %lu mode %o key %d cpid %d lpid %d atime %d dtime %d\n", what,
           ds.shm_segsz, (unsigned long)ds.shm_nattch, ds.shm_perm.mode, ds.shm_perm.__key != 0,
           ds.shm_cpid == getpid(), ds.shm_lpid == getpid(), ds.shm_atime != 0, ds.shm_dtime != 0);
}

static void keys(void)
{
    key_t key = 0x51000000 + getpid();
    int id = shmget(key, SIZE, IPC_CREAT | IPC_EXCL | 0600);

    printf("create %s\n", err(id));
    printf("again %s\n", err(shmget(key, SIZE, IPC_CREAT | IPC_EXCL | 0600)));
    printf("find %d\n", shmget(key, 0, 0) == id);
    printf("larger %s\n", err(shmget(key, SIZE * 2, 0600)));
    printf("none %s\n", err(shmget(key + 1, SIZE, 0600)));
    printf("nothing %s\n", err(shmget(IPC_PRIVATE, 0, 0600)));
    show("new", id);
    printf("remove %s\n", err(shmctl(id, IPC_RMID, NULL)));
    printf("gone %s\n", err(shmctl(id, IPC_RMID, NULL)));
    printf("gone %s\n", err((long)shmat(id, NULL, 0)));
    printf("negative %s\n", err(shmctl(-1, IPC_STAT, NULL)));
}

static void attachments(int id)
{
    char *p = shmat(id, NULL, 0), *q;
    int status;

    strcpy(p, "one");
    show("attached", id);
    fflush(stdout);
    if (fork() == 0) {
        struct shmid_ds ds;

        shmctl(id, IPC_STAT, &ds);
        printf("child sees %s, %lu attached\n", p, (unsigned long)ds.shm_nattch);
        strcpy(p, "two");
        p[SIZE] = 'x'; /* the page's rest is there */
        fflush(stdout);
        _exit(0);
    }
    wait(&status);
    printf("status %x, %s %c\n", status, p, p[SIZE]);
    q = shmat(id, NULL, SHM_RDONLY);
    printf("second %s, write %s\n", q, err(mprotect(q, SIZE, PROT_READ | PROT_WRITE)));
    printf("overlap %s\n", err((long)shmat(id, p, 0)));
    printf("crooked %s\n", err((long)shmat(id, p + 1, 0)));
    printf("remap nowhere %s\n", err((long)shmat(id, NULL, SHM_REMAP)));
    printf("remap %d\n", shmat(id, q + 5, SHM_REMAP | SHM_RND) == (void *)q);
    show("two", id);
    printf("split %s\n", err(mprotect(p + 4096, 4096, PROT_READ)));
    printf("inside %s\n", err(shmdt(p + 4096)));
    printf("detach %s\n", err(shmdt(p)));
    printf("detached %s\n", err(msync(p, SIZE, MS_ASYNC)));
    printf("again %s\n", err(shmdt(p)));
    show("one", id);
    printf("remove %s\n", err(shmctl(id, IPC_RMID, NULL)));
    show("marked", id);
    p = shmat(id, NULL, 0);
    printf("still %s\n", p);
    shmdt(p);
    printf("last %s\n", err(shmdt(q)));
    show("removed", id);
}

static void rights(int id)
{
    struct shmid_ds ds;

    shmctl(id, IPC_STAT, &ds);
    ds.shm_perm.mode = 0640;
    printf("set %s\n", err(shmctl(id, IPC_SET, &ds)));
    show("mode", id);
    printf("info %d\n", shmctl(0, SHM_INFO, &ds) >= 0);
    fflush(stdout);
    if (fork() == 0) {
        if (setgid(4321) < 0 || setuid(1234) < 0)
            _exit(1);
        printf("other: attach %s", err((long)shmat(id, NULL, SHM_RDONLY)));
        printf(", stat %s", err(shmctl(id, IPC_STAT, &ds)));
        printf(", set %s", err(shmctl(id, IPC_SET, &ds)));
        printf(", remove %s\n", err(shmctl(id, IPC_RMID, NULL)));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    printf("remove %s\n", err(shmctl(id, IPC_RMID, NULL)));
}

int main(void)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    keys();
    fflush(stdout);
    attachments(shmget(IPC_PRIVATE, SIZE, 0600));
    rights(shmget(IPC_PRIVATE, SIZE, 0600));
    return 0;
}
