/* Red-black tree balancing. Leaves are NULL and count as black. Takes no locks. */
#include "sentry/base/rbtree.h"

static bool is_red(const struct rb_node *n)
{
    return n && n->red;
}

/* Puts new where old hangs under parent (or at the root). */
static void replace_child(struct rb_root *root, struct rb_node *parent, struct rb_node *old,
                          struct rb_node *new)
{
    if (!parent)
        root->node = new;
    else if (parent->left == old)
        parent->left = new;
    else
        parent->right = new;
}

static void rotate_left(struct rb_root *root, struct rb_node *n)
{
    struct rb_node *r = n->right;

    n->right = r->left;
    if (r->left)
        r->left->parent = n;
    r->parent = n->parent;
    replace_child(root, n->parent, n, r);
    r->left = n;
    n->parent = r;
}

static void rotate_right(struct rb_root *root, struct rb_node *n)
{
    struct rb_node *l = n->left;

    n->left = l->right;
    if (l->right)
        l->right->parent = n;
    l->parent = n->parent;
    replace_child(root, n->parent, n, l);
    l->right = n;
    n->parent = l;
}

void rb_insert(struct rb_root *root, struct rb_node *node, struct rb_node *parent,
               struct rb_node **link)
{
    node->parent = parent;
    node->left = node->right = NULL;
    node->red = 1;
    *link = node;

    while ((parent = node->parent) && parent->red) {
        struct rb_node *grand = parent->parent; /* exists: the root is black */
        bool left = parent == grand->left;
        struct rb_node *uncle = left ? grand->right : grand->left;

        if (is_red(uncle)) {
            parent->red = uncle->red = 0;
            grand->red = 1;
            node = grand;
            continue;
        }
        if (node == (left ? parent->right : parent->left)) {
            if (left)
                rotate_left(root, parent);
            else
                rotate_right(root, parent);
            parent = node;
        }
        parent->red = 0;
        grand->red = 1;
        if (left)
            rotate_right(root, grand);
        else
            rotate_left(root, grand);
        break;
    }
    root->node->red = 0;
}

/*
 * One step for the left side: node (maybe NULL) lacks a black. Returns the next node to treat, NULL
 * when done.
 */
static struct rb_node *fix_left(struct rb_root *root, struct rb_node *parent)
{
    struct rb_node *sib = parent->right;

    if (sib->red) {
        sib->red = 0;
        parent->red = 1;
        rotate_left(root, parent);
        sib = parent->right;
    }
    if (!is_red(sib->left) && !is_red(sib->right)) {
        sib->red = 1;
        return parent;
    }
    if (!is_red(sib->right)) {
        sib->left->red = 0;
        sib->red = 1;
        rotate_right(root, sib);
        sib = parent->right;
    }
    sib->red = parent->red;
    parent->red = 0;
    sib->right->red = 0;
    rotate_left(root, parent);
    return NULL;
}

static struct rb_node *fix_right(struct rb_root *root, struct rb_node *parent)
{
    struct rb_node *sib = parent->left;

    if (sib->red) {
        sib->red = 0;
        parent->red = 1;
        rotate_right(root, parent);
        sib = parent->left;
    }
    if (!is_red(sib->left) && !is_red(sib->right)) {
        sib->red = 1;
        return parent;
    }
    if (!is_red(sib->left)) {
        sib->right->red = 0;
        sib->red = 1;
        rotate_left(root, sib);
        sib = parent->left;
    }
    sib->red = parent->red;
    parent->red = 0;
    sib->left->red = 0;
    rotate_right(root, parent);
    return NULL;
}

/* The subtree at node (a child of parent, maybe NULL) has one black too few. */
static void fix_erase(struct rb_root *root, struct rb_node *node, struct rb_node *parent)
{
    while (parent && !is_red(node)) {
        struct rb_node *next =
            node == parent->left ? fix_left(root, parent) : fix_right(root, parent);

        if (!next)
            return;
        node = next;
        parent = node->parent;
    }
    if (node)
        node->red = 0;
}

void rb_erase(struct rb_root *root, struct rb_node *node)
{
    struct rb_node *child, *parent;
    bool removed_black;

    if (node->left && node->right) {
        struct rb_node *next = node->right;

        while (next->left)
            next = next->left;
        removed_black = !next->red;
        child = next->right;
        parent = next->parent;
        if (parent == node) {
            parent = next;
        } else {
            parent->left = child;
            if (child)
                child->parent = parent;
            next->right = node->right;
            next->right->parent = next;
        }
        next->left = node->left;
        next->left->parent = next;
        next->parent = node->parent;
        next->red = node->red;
        replace_child(root, node->parent, node, next);
    } else {
        child = node->left ? node->left : node->right;
        parent = node->parent;
        removed_black = !node->red;
        if (child)
            child->parent = parent;
        replace_child(root, parent, node, child);
    }
    node->parent = node->left = node->right = NULL;
    if (removed_black)
        fix_erase(root, child, parent);
}

struct rb_node *rb_first(const struct rb_root *root)
{
    struct rb_node *n = root->node;

    while (n && n->left)
        n = n->left;
    return n;
}

struct rb_node *rb_last(const struct rb_root *root)
{
    struct rb_node *n = root->node;

    while (n && n->right)
        n = n->right;
    return n;
}

struct rb_node *rb_next(const struct rb_node *node)
{
    if (node->right) {
        node = node->right;
        while (node->left)
            node = node->left;
        return (struct rb_node *)node;
    }
    while (node->parent && node == node->parent->right)
        node = node->parent;
    return node->parent;
}

struct rb_node *rb_prev(const struct rb_node *node)
{
    if (node->left) {
        node = node->left;
        while (node->right)
            node = node->right;
        return (struct rb_node *)node;
    }
    while (node->parent && node == node->parent->left)
        node = node->parent;
    return node->parent;
}
