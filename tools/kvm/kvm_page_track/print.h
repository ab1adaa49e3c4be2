/* SPDX-License-Identifier: GPL-2.0-only */
/* Events as lines. */
#ifndef KVM_PAGE_TRACK_PRINT_H
#define KVM_PAGE_TRACK_PRINT_H

#include <asm/kvm_page_track.h>
#include <stddef.h>
#include <stdio.h>

/* The bytes of an event that are known. */
size_t known_bytes(const struct kvm_page_track_event *e);

void print_bytes(FILE *file, const __u8 *data, size_t size);
void print_head(FILE *file);

/* Without a newline, for whoever has more to say. */
void print_text(FILE *file, const struct kvm_page_track_event *e);

void print_json(FILE *file, const struct kvm_page_track_event *e);

#endif
