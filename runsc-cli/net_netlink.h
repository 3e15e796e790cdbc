/*
 * Talking to the host's kernel by netlink: requests with attributes, answers one by one. Hosted,
 * for the CLI's network set-up only. Sources: netlink(7), rtnetlink(7).
 */
#pragma once

#include "runsc-cli/error.h"

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

#define NL_BUFFER 16384

struct hnl_socket {
    int fd;
    uint32_t seq;
};

/* A request being built. */
struct hnl_buffer {
    size_t size;
    _Alignas(8) uint8_t data[NL_BUFFER];
};

int hnl_open(int protocol, struct hnl_socket *out);
void hnl_close(struct hnl_socket *s);
/* Appends a message header and a fixed part of n bytes, copied; several make a batch. */
void hnl_message(struct hnl_buffer *b, uint16_t type, uint16_t flags, const void *fixed, size_t n);
void hnl_attr(struct hnl_buffer *b, uint16_t type, const void *data, size_t size);
void hnl_attr_u32(struct hnl_buffer *b, uint16_t type, uint32_t v);
void hnl_attr_be32(struct hnl_buffer *b, uint16_t type, uint32_t v);
void hnl_attr_str(struct hnl_buffer *b, uint16_t type, const char *s);
size_t hnl_nest(struct hnl_buffer *b, uint16_t type);
void hnl_nest_end(struct hnl_buffer *b, size_t at);
/* Ends the last message; before the next and before sending. */
void hnl_end(struct hnl_buffer *b);
/* Sends all and waits for an acknowledgement of each message that asks for one: 0 or the first
 * -errno. */
int hnl_talk(struct hnl_socket *s, struct hnl_buffer *b);
/* A dump: fn is called with each answer's header. 0 or -errno. */
int hnl_dump(struct hnl_socket *s, struct hnl_buffer *b,
            int (*fn)(const struct nlmsghdr *h, void *arg), void *arg);
/* The attributes of an answer by type, NULL where absent; fixed: size of its fixed part. */
void hnl_parse(const struct nlmsghdr *h, size_t fixed, const struct nlattr **out, unsigned max);
