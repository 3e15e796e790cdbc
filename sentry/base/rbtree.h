/*
 * Intrusive red-black tree. The caller searches and picks the link; the tree balances. No locking
 * here.
 *
 *     struct rb_node **link = &root->node, *parent = NULL;
 *     while (*link) {
 *         parent = *link;
 *         link = key < entry(parent)->key ? &parent->left : &parent->right;
 *     }
 *     rb_insert(root, &new->node, parent, link);
 */
#pragma once

#include "sentry/base/compiler.h"

struct rb_node {
    struct rb_node *parent, *left, *right;
    uint32_t red;
};

struct rb_root {
    struct rb_node *node; /* NULL: empty */
};

void rb_insert(struct rb_root *root, struct rb_node *node, struct rb_node *parent,
               struct rb_node **link);
void rb_erase(struct rb_root *root, struct rb_node *node);
/* NULL when there is none. */
struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_last(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *node);
struct rb_node *rb_prev(const struct rb_node *node);

#define rb_entry(ptr, type, member) container_of(ptr, type, member)
