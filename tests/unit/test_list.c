/* The intrusive list against an array. */
#include <string.h>

#include "sentry/base/list.h"
#include "tests/unit/fixture.h"

#define NODES 64

struct item {
    struct list node;
    int id;
};

static void check(struct list *head, const int *model, int count)
{
    struct item *it;
    int i = 0;

    list_for_each (it, head, node) {
        cr_assert_lt(i, count);
        cr_assert_eq(it->id, model[i]);
        i++;
    }
    cr_assert_eq(i, count);
    cr_assert_eq(list_empty(head), count == 0);
}

Test(list, model)
{
    struct random r = {1};
    struct item items[NODES];
    struct list head;
    int model[NODES], count = 0;

    list_init(&head);
    for (int i = 0; i < NODES; i++) {
        items[i].id = i;
        list_init(&items[i].node);
    }
    for (int step = 0; step < 20000; step++) {
        int id = (int)random_below(&r, NODES), at;

        for (at = 0; at < count && model[at] != id; at++)
            ;
        if (at < count) {
            list_del(&items[id].node);
            memmove(model + at, model + at + 1, sizeof(int) * (size_t)(count - at - 1));
            count--;
        } else if (random_below(&r, 2)) {
            list_add(&head, &items[id].node);
            memmove(model + 1, model, sizeof(int) * (size_t)count);
            model[0] = id;
            count++;
        } else {
            list_add_tail(&head, &items[id].node);
            model[count++] = id;
        }
        check(&head, model, count);
    }
}

Test(list, splice_and_safe_removal)
{
    struct item items[6], *it, *next;
    struct list a, b;

    list_init(&a);
    list_init(&b);
    for (int i = 0; i < 6; i++) {
        items[i].id = i;
        list_add_tail(i < 3 ? &a : &b, &items[i].node);
    }
    list_splice_tail(&a, &b);
    check(&a, (int[]){0, 1, 2, 3, 4, 5}, 6);
    check(&b, NULL, 0);
    list_splice_tail(&a, &b);
    list_for_each_safe (it, next, &a, node) {
        if (it->id % 2)
            list_del(&it->node);
    }
    check(&a, (int[]){0, 2, 4}, 3);
    list_del(&items[1].node); /* on no list: harmless */
    cr_assert_eq(list_first(&a, struct item, node)->id, 0);
    cr_assert_eq(list_last(&a, struct item, node)->id, 4);
}
