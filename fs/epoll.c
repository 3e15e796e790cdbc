/*
 * epoll: items, the ready list, and its harvest. The graph of epolls watching epolls is in
 * epoll_graph.c. Waiting is the system call layer's. Locks: see epoll.h.
 */
#include "fs/epoll_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

#define PRIVATE_BITS (LX_EPOLLET | LX_EPOLLONESHOT | LX_EPOLLWAKEUP | LX_EPOLLEXCLUSIVE)
#define EXCLUSIVE_OK                                                                               \
    (LX_EPOLLIN | LX_EPOLLOUT | LX_EPOLLERR | LX_EPOLLHUP | LX_EPOLLWAKEUP | LX_EPOLLET |          \
     LX_EPOLLEXCLUSIVE)
#define ALWAYS      (LX_EPOLLERR | LX_EPOLLHUP)
#define EPOLL_READY (LX_POLLIN | LX_POLLRDNORM)
#define CHUNK       16

SLAB_TYPE(epoll_slab, struct epoll);
SLAB_TYPE(epoll_item_slab, struct epoll_item);

DECLARE_OPS(file_ops, epoll_file_ops);
DECLARE_OPS(waiter_ops, epoll_waiter_ops);

bool epoll_is(const struct file *f)
{
    return ops_is(f->ops, &epoll_file_ops);
}

struct epoll *epoll_of(const struct file *f)
{
    return epoll_is(f) ? f->private_data : NULL;
}

static void epoll_put(struct epoll *ep)
{
    if (!ref_put(&ep->ref))
        return;
    waitq_destroy(&ep->waiters);
    slab_free(&epoll_slab, ep);
}

/* ---- the ready list ---- */

/* True if it is a new entry of the list. */
static bool make_ready(struct epoll_item *it)
{
    struct epoll *ep = it->ep;
    bool added = false;

    mutex_lock(&ep->ready_lock);
    if (!it->ready) {
        it->ready = true;
        list_add_tail(&ep->ready, &it->ready_node);
        WRITE_ONCE(ep->ready_count, ep->ready_count + 1);
        added = true;
    }
    mutex_unlock(&ep->ready_lock);
    return added;
}

static void unready_locked(struct epoll_item *it)
{
    if (!it->ready)
        return;
    it->ready = false;
    list_del(&it->ready_node);
    WRITE_ONCE(it->ep->ready_count, it->ep->ready_count - 1);
}

static struct epoll_item *pop_ready(struct epoll *ep)
{
    struct epoll_item *it = NULL;

    mutex_lock(&ep->ready_lock);
    if (!list_empty(&ep->ready)) {
        it = list_first(&ep->ready, struct epoll_item, ready_node);
        unready_locked(it);
    }
    mutex_unlock(&ep->ready_lock);
    return it;
}

/* Runs under the watched file's queue lock. */
static void epoll_notify(struct waiter *w, uint32_t events, struct wakes *wakes)
{
    struct epoll_item *it = container_of(w, struct epoll_item, waiter);
    uint32_t wanted = READ_ONCE(it->events);

    if (!(wanted & ~PRIVATE_BITS)) /* fired once, or waits for a change */
        return;
    if (!(events & (wanted | ALWAYS)))
        return;
    make_ready(it);
    waitq_notify(&it->ep->waiters, EPOLL_READY, wakes);
}

DEFINE_OPS(waiter_ops, epoll_waiter_ops) = {.notify = epoll_notify};

static uint32_t item_poll(struct epoll_item *it)
{
    uint32_t wanted = it->events & ~PRIVATE_BITS;

    if (!wanted)
        return 0;
    return file_poll(it->file, wanted) & (wanted | ALWAYS);
}

/* Takes up to CHUNK events off the list, looking at no more than *budget entries. ep->lock held. */
static uint32_t harvest_chunk(struct epoll *ep, uint32_t max, uint32_t *budget,
                              struct lx_epoll_event *events, struct epoll_item **items)
{
    uint32_t n = 0;

    while (n < max && *budget) {
        struct epoll_item *it = pop_ready(ep);
        uint32_t got;

        if (!it)
            break;
        --*budget;
        got = item_poll(it);
        if (!got)
            continue;
        events[n] = (struct lx_epoll_event){.events = got, .data = it->data};
        items[n++] = it;
        if (it->events & LX_EPOLLONESHOT)
            WRITE_ONCE(it->events, it->events & PRIVATE_BITS);
        else if (!(it->events & LX_EPOLLET))
            make_ready(it);
    }
    return n;
}

/* What the guest could not be told stays to be told. */
static void unharvest(struct epoll_item **items, const struct lx_epoll_event *events, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (items[i]->events & LX_EPOLLONESHOT)
            WRITE_ONCE(items[i]->events, items[i]->wanted);
        make_ready(items[i]);
    }
}

int64_t epoll_harvest(struct file *epoll_file, const struct uspace *us, uaddr_t out, uint32_t max)
{
    struct epoll *ep = epoll_file->private_data;
    struct lx_epoll_event events[CHUNK];
    struct epoll_item *items[CHUNK];
    uint32_t total = 0, budget;
    int err = 0;

    budget = READ_ONCE(ep->ready_count);
    if (!budget)
        return -EAGAIN;
    mutex_lock(&ep->lock);
    while (total < max && budget) {
        uint32_t n = harvest_chunk(ep, MIN(max - total, CHUNK), &budget, events, items);

        if (!n)
            break;
        if (copy_out(us, uaddr_add(out, total * sizeof(events[0])), events,
                     n * sizeof(events[0]))) {
            unharvest(items, events, n);
            err = -EFAULT;
            break;
        }
        total += n;
    }
    mutex_unlock(&ep->lock);
    if (total)
        return total;
    return err ? err : -EAGAIN;
}

/* Ready if any entry of the list still is; the others are dropped from it. */
static uint32_t epoll_poll(struct file *f, uint32_t mask)
{
    struct epoll *ep = f->private_data;
    uint32_t budget = READ_ONCE(ep->ready_count), got = 0;

    if (!budget)
        return 0;
    mutex_lock(&ep->lock);
    while (budget-- && !got) {
        struct epoll_item *it = pop_ready(ep);

        if (!it)
            break;
        got = item_poll(it);
        if (got)
            make_ready(it);
    }
    mutex_unlock(&ep->lock);
    return got ? (LX_POLLIN | LX_POLLRDNORM) & mask : 0;
}

static struct waitq *epoll_poll_queue(struct file *f)
{
    return &((struct epoll *)f->private_data)->waiters;
}

/* ---- items ---- */

static struct epoll_item *find_item(struct epoll *ep, const struct file *f, int fd,
                                    struct rb_node ***out_link, struct rb_node **out_parent)
{
    struct rb_node **link = &ep->items.node, *parent = NULL;

    while (*link) {
        struct epoll_item *it = rb_entry(*link, struct epoll_item, node);

        if (it->file == f && it->fd == fd)
            return it;
        parent = *link;
        link = f < it->file || (f == it->file && fd < it->fd) ? &parent->left : &parent->right;
    }
    *out_link = link;
    *out_parent = parent;
    return NULL;
}

/* Polls after registering, so that nothing is missed between the two. ep->lock held. */
static void check_now(struct epoll_item *it)
{
    if (item_poll(it) && make_ready(it))
        waitq_wake(&it->ep->waiters, EPOLL_READY);
}

static void watch(struct epoll_item *it)
{
    memset(&it->waiter, 0, sizeof(it->waiter));
    it->waiter.mask = (it->events & ~PRIVATE_BITS) | ALWAYS;
    it->waiter.exclusive = it->events & LX_EPOLLEXCLUSIVE ? 1 : 0;
    it->waiter.ops = ops_ref(&epoll_waiter_ops);
    waitq_add(file_poll_queue(it->file), &it->waiter);
}

static int add_item(struct epoll *ep, int fd, struct file *f, const struct lx_epoll_event *event)
{
    struct rb_node **link, *parent;
    struct epoll_item *it;

    if (find_item(ep, f, fd, &link, &parent))
        return -EEXIST;
    it = slab_alloc(&epoll_item_slab);
    if (!it)
        return -ENOMEM;
    ref_get(&ep->ref);
    it->ep = ep;
    it->file = f;
    it->fd = fd;
    it->events = it->wanted = event->events | ALWAYS;
    it->data = event->data;
    list_init(&it->ready_node);
    rb_insert(&ep->items, &it->node, parent, link);
    mutex_lock(&f->pos_lock);
    list_add_tail(&f->epoll_items, &it->file_node);
    f->epoll_watched = true;
    mutex_unlock(&f->pos_lock);
    epoll_graph_link(it);
    watch(it);
    check_now(it);
    return 0;
}

/* ep->lock held, and the graph's when the file is an epoll; off the file's list already. */
static void free_item(struct epoll_item *it)
{
    struct epoll *ep = it->ep;

    waitq_remove(&it->waiter);
    mutex_lock(&ep->ready_lock);
    unready_locked(it);
    mutex_unlock(&ep->ready_lock);
    epoll_graph_unlink(it);
    rb_erase(&ep->items, &it->node);
    slab_free(&epoll_item_slab, it);
}

static void remove_item(struct epoll_item *it)
{
    struct epoll *ep = it->ep;
    struct file *f = it->file;

    /* Once it is off the file's list a last file_put may free the file: its queue is left before.
     */
    waitq_remove(&it->waiter);
    mutex_lock(&f->pos_lock);
    list_del(&it->file_node);
    mutex_unlock(&f->pos_lock);
    free_item(it);
    /* Its epoll's file holds another reference. */
    BUG_ON(ref_put(&ep->ref));
}

static int modify_item(struct epoll_item *it, const struct lx_epoll_event *event)
{
    if (it->events & LX_EPOLLEXCLUSIVE || event->events & LX_EPOLLEXCLUSIVE)
        return -EINVAL;
    waitq_remove(&it->waiter);
    it->wanted = event->events | ALWAYS;
    WRITE_ONCE(it->events, it->wanted);
    it->data = event->data;
    watch(it);
    check_now(it);
    return 0;
}

static int ctl_locked(struct epoll *ep, int op, int fd, struct file *f,
                      const struct lx_epoll_event *event)
{
    struct rb_node **link, *parent;
    struct epoll_item *it;

    if (op == LX_EPOLL_CTL_ADD)
        return add_item(ep, fd, f, event);
    it = find_item(ep, f, fd, &link, &parent);
    if (!it)
        return -ENOENT;
    if (op == LX_EPOLL_CTL_MOD)
        return modify_item(it, event);
    remove_item(it);
    return 0;
}

int epoll_ctl(struct file *epoll_file, int op, int fd, struct file *f,
              const struct lx_epoll_event *event)
{
    struct epoll *ep = epoll_of(epoll_file);
    bool nested = epoll_is(f);
    int err = 0;

    if (!file_poll_queue(f))
        return -EPERM;
    if (!ep || f == epoll_file)
        return -EINVAL;
    if (op == LX_EPOLL_CTL_ADD && event->events & LX_EPOLLEXCLUSIVE &&
        (nested || event->events & ~(uint32_t)EXCLUSIVE_OK))
        return -EINVAL;
    if (op != LX_EPOLL_CTL_ADD && op != LX_EPOLL_CTL_MOD && op != LX_EPOLL_CTL_DEL)
        return -EINVAL;
    if (nested)
        mutex_lock(&ep->graph->lock);
    if (nested && op == LX_EPOLL_CTL_ADD)
        err = epoll_graph_check(ep, f->private_data);
    if (!err) {
        mutex_lock(&ep->lock);
        err = ctl_locked(ep, op, fd, f, event);
        mutex_unlock(&ep->lock);
    }
    if (nested)
        mutex_unlock(&ep->graph->lock);
    return err;
}

/* ---- ends ---- */

/* One item of f's list, its epoll with a reference; NULL when the list is empty. */
static struct epoll *first_watcher(struct file *f)
{
    struct epoll *ep = NULL;

    mutex_lock(&f->pos_lock);
    if (!list_empty(&f->epoll_items)) {
        ep = list_first(&f->epoll_items, struct epoll_item, file_node)->ep;
        ref_get(&ep->ref);
    }
    mutex_unlock(&f->pos_lock);
    return ep;
}

static void forget_file(struct epoll *ep, struct file *f)
{
    struct epoll_item *it, *next;
    struct list mine;
    bool dead = false;

    list_init(&mine);
    mutex_lock(&f->pos_lock);
    list_for_each_safe (it, next, &f->epoll_items, file_node) {
        if (it->ep != ep)
            continue;
        list_del(&it->file_node);
        list_add(&mine, &it->file_node);
    }
    mutex_unlock(&f->pos_lock);
    list_for_each_safe (it, next, &mine, file_node) {
        free_item(it);
        dead = ref_put(&ep->ref);
    }
    BUG_ON(dead); /* the caller holds one */
}

void epoll_file_gone(struct file *f)
{
    struct epoll *ep;

    while ((ep = first_watcher(f))) {
        struct epoll_graph *graph = epoll_is(f) ? ep->graph : NULL;

        if (graph)
            mutex_lock(&graph->lock);
        mutex_lock(&ep->lock);
        forget_file(ep, f);
        mutex_unlock(&ep->lock);
        if (graph)
            mutex_unlock(&graph->lock);
        epoll_put(ep);
    }
}

static void epoll_release(struct file *f)
{
    struct epoll *ep = f->private_data;
    struct rb_node *node;

    mutex_lock(&ep->graph->lock);
    mutex_lock(&ep->lock);
    while ((node = rb_first(&ep->items)))
        remove_item(rb_entry(node, struct epoll_item, node));
    mutex_unlock(&ep->lock);
    mutex_unlock(&ep->graph->lock);
    epoll_put(ep);
}

static void epoll_show(struct file *f, const struct pid_ns *reader, struct strbuf *out)
{
    struct epoll *ep = f->private_data;

    mutex_lock(&ep->lock);
    for (struct rb_node *n = rb_first(&ep->items); n; n = rb_next(n)) {
        struct epoll_item *it = rb_entry(n, struct epoll_item, node);

        strbuf_printf(out, "tfd: %8d events: %8x data: %16llx\n", it->fd, it->events,
                      (unsigned long long)it->data);
    }
    mutex_unlock(&ep->lock);
}

static void epoll_describe(struct file *f, struct strbuf *out)
{
    strbuf_puts(out, "anon_inode:[eventpoll]");
}

DEFINE_OPS(file_ops, epoll_file_ops) = {
    .poll = epoll_poll,
    .poll_queue = epoll_poll_queue,
    .llseek = noop_llseek,
    .release = epoll_release,
    .show_fdinfo = epoll_show,
    .describe = epoll_describe,
};

int epoll_create(struct epoll_graph *graph, const struct cred *cred, struct file **out)
{
    struct epoll *ep = slab_alloc(&epoll_slab);
    struct file *f;

    if (!ep)
        return -ENOMEM;
    ref_init(&ep->ref);
    mutex_init(&ep->lock, RANK_NONE);
    mutex_init(&ep->ready_lock, RANK_READY);
    waitq_init(&ep->waiters);
    mutex_init(&ep->waiters.lock, RANK_NONE);
    list_init(&ep->ready);
    list_init(&ep->inner);
    list_init(&ep->outer);
    ep->graph = graph;
    f = file_alloc_anon(&epoll_file_ops, LX_O_RDWR, ep, cred);
    if (!f) {
        slab_free(&epoll_slab, ep);
        return -ENOMEM;
    }
    *out = f;
    return 0;
}
