/*
 * Pipes and FIFOs. Sources: pipe(7), fifo(7), fcntl(2) F_SETPIPE_SZ.
 *
 * struct pipe: counted; holders are its open files; a FIFO's inode points to it weakly (inode.fifo)
 * while any is open. pipe.lock (rank PIPE) guards all of it and is held over copies of guest
 * memory.
 */
#pragma once

#include "fs/file.h"

struct inode;

#define PIPE_BUF_SIZE      4096U      /* writes up to this are atomic */
#define PIPE_DEFAULT_SLOTS 16U        /* pages */
#define PIPE_MAX_SIZE      (1U << 20) /* bytes, for callers without CAP_SYS_RESOURCE */
#define PIPE_SIZE_LIMIT    (16U << 20)

struct pipe_buf {
    char *page; /* page_alloc(0) */
    uint16_t offset, size;
    bool packet; /* written under O_DIRECT: one read takes it all */
};

struct pipe {
    struct ref ref;
    struct mutex lock; /* rank PIPE */
    uint32_t readers, writers;
    uint64_t reader_opens, writer_opens; /* ever: a FIFO's opener waits for these to move */
    struct pipe_buf *slots;              /* kmalloc */
    uint32_t slot_count, head, used;     /* ring: head is the oldest */
    uint64_t bytes;
    char *spare;         /* one empty page kept for the next write, or NULL */
    struct inode *inode; /* the FIFO's, borrowed from its open files; NULL for pipe(2) */
    uint32_t fifo_users; /* open files of the FIFO; guarded by inode->lock */
    struct waitq waiters;
    uint64_t ino;
};

/* pipe(2): two files with a reference each. flags: LX_O_NONBLOCK, LX_O_DIRECT. */
int pipe_create(uint32_t flags, const struct cred *cred, struct file **out_read,
                struct file **out_write) MUST_CHECK;

/*
 * Opens a FIFO: called by the VFS with f's flags and mode set; sets f->ops and private_data. Never
 * waits: counts f as an end at once and returns 0, so that the other side sees it, or -ENXIO (write
 * only, O_NONBLOCK, no reader), -ENOMEM. Before using a file opened without O_NONBLOCK the caller
 * must wait for pipe_fifo_ready; an interrupted open just puts the file.
 */
int pipe_fifo_open(struct inode *inode, struct file *f) MUST_CHECK;
/* 0 once the other end has been open since f was; -EAGAIN before. Wakes come on file_poll_queue(f),
 * POLLIN | POLLOUT. */
int pipe_fifo_ready(struct file *f);

/* The pipe of a file, or NULL when f is none. Borrowed. */
struct pipe *pipe_of(const struct file *f);
/* F_SETPIPE_SZ: the new size in bytes, -EBUSY, -EINVAL, -EPERM, -ENOMEM. */
int64_t pipe_set_size(struct pipe *p, uint64_t size, bool privileged) MUST_CHECK;
int64_t pipe_get_size(struct pipe *p);

/* splice(2), tee(2): bytes moved, 0 at the end of data, -EAGAIN (a pipe empty or full), -EPIPE. pos
 * NULL: the file's own position. */
int64_t pipe_splice_to_file(struct file *pipe_file, struct file *out, int64_t *pos, uint64_t n,
                            uint64_t fsize_limit) MUST_CHECK;
int64_t pipe_splice_from_file(struct file *in, int64_t *pos, struct file *pipe_file,
                              uint64_t n) MUST_CHECK;
/* Both pipes; copy leaves the data in the source (tee). -EINVAL when they are one pipe. */
int64_t pipe_splice_pipes(struct file *in, struct file *out, uint64_t n, bool copy) MUST_CHECK;

/* ---- for pipe.c and splice.c ---- */
static inline struct pipe_buf *pipe_slot(struct pipe *p, uint32_t i)
{
    return &p->slots[(p->head + i) & (p->slot_count - 1)];
}
/* An empty page to fill, or NULL. */
char *pipe_page_get(struct pipe *p);
void pipe_page_put(struct pipe *p, char *page);
/* Appends a filled page; there must be a free slot. */
void pipe_push(struct pipe *p, char *page, uint32_t size, bool packet);
/* Takes n bytes off the oldest buffer (all of a packet), freeing it when empty. */
void pipe_consume(struct pipe *p, uint32_t n);
