/* The red-black tree against a presence array, its invariants checked as it changes. */
#include "sentry/base/rbtree.h"
#include "tests/unit/fixture.h"

#define KEYS 300

struct entry {
    struct rb_node node;
    int key;
};

static void insert(struct rb_root *root, struct entry *new)
{
    struct rb_node **link = &root->node, *parent = NULL;

    while (*link) {
        parent = *link;
        link = new->key < rb_entry(parent, struct entry, node)->key ? &parent->left
                                                                    : &parent->right;
    }
    rb_insert(root, &new->node, parent, link);
}

/* Returns the black height; checks links, colours and heights. */
static int check_subtree(const struct rb_node *n, const struct rb_node *parent)
{
    int left, right;

    if (!n)
        return 1;
    cr_assert_eq(n->parent, parent);
    cr_assert(!(n->red && parent && parent->red), "red under red");
    left = check_subtree(n->left, n);
    right = check_subtree(n->right, n);
    cr_assert_eq(left, right, "black heights differ");
    return left + !n->red;
}

static void check_order(const struct rb_root *root, const bool *present)
{
    struct rb_node *n = rb_first(root);
    int key;

    for (key = 0; key < KEYS; key++) {
        if (!present[key])
            continue;
        cr_assert_not_null(n);
        cr_assert_eq(rb_entry(n, struct entry, node)->key, key);
        n = rb_next(n);
    }
    cr_assert_null(n);
    n = rb_last(root);
    for (key = KEYS - 1; key >= 0; key--) {
        if (!present[key])
            continue;
        cr_assert_eq(rb_entry(n, struct entry, node)->key, key);
        n = rb_prev(n);
    }
    cr_assert_null(n);
}

Test(rbtree, model)
{
    static struct entry entries[KEYS];
    bool present[KEYS] = {false};
    struct rb_root root = {NULL};
    struct random r = {7};

    for (int step = 0; step < 30000; step++) {
        int key = (int)random_below(&r, KEYS);

        entries[key].key = key;
        if (present[key])
            rb_erase(&root, &entries[key].node);
        else
            insert(&root, &entries[key]);
        present[key] = !present[key];
        check_subtree(root.node, NULL);
        cr_assert(!root.node || !root.node->red);
        if (step % 50 == 0)
            check_order(&root, present);
    }
    check_order(&root, present);
}

Test(rbtree, empties)
{
    static struct entry entries[KEYS];
    struct rb_root root = {NULL};

    for (int i = 0; i < KEYS; i++) {
        entries[i].key = i;
        insert(&root, &entries[i]);
    }
    for (int i = 0; i < KEYS; i++) {
        rb_erase(&root, &entries[i * 7 % KEYS].node);
        check_subtree(root.node, NULL);
    }
    cr_assert_null(root.node);
    cr_assert_null(rb_first(&root));
    cr_assert_null(rb_last(&root));
}
