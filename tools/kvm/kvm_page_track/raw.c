// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <time.h>

#include "fail.h"
#include "raw.h"
#include "stop.h"

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

void write_raw_header(FILE *file, const struct ranges *ranges,
		      const struct raw_header *recorded)
{
	struct raw_header header = {
		.magic = RAW_MAGIC,
		.version = 1,
		.event_size = sizeof(struct kvm_page_track_event),
		.realtime = recorded ? recorded->realtime :
			    now(CLOCK_REALTIME) - now(CLOCK_MONOTONIC),
		.nr_ranges = ranges->nr,
	};

	fwrite(&header, sizeof(header), 1, file);
	fwrite(ranges->list, sizeof(*ranges->list), ranges->nr, file);
}

void write_raw(FILE *file, const struct kvm_page_track_event *event)
{
	fwrite(event, sizeof(*event), 1, file);
}

FILE *open_raw(const char *path, struct raw_header *header, struct ranges *ranges)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;
	struct range range;
	uint32_t i;

	if (!file) {
		end_if_stopped();
		fail(STATUS_OTHER, "cannot read %s: %s", path, strerror(errno));
	}
	if (fread(header, sizeof(*header), 1, file) != 1 ||
	    memcmp(header->magic, RAW_MAGIC, sizeof(header->magic))) {
		end_if_stopped();
		fail(STATUS_OTHER, "%s is no file of events, as watch --raw makes them", path);
	}
	if (header->version != 1 ||
	    header->event_size < sizeof(struct kvm_page_track_event))
		fail(STATUS_OTHER, "%s is of another version of this program", path);

	for (i = 0; i < header->nr_ranges; i++) {
		if (fread(&range, sizeof(range), 1, file) != 1 || range.start >= range.end) {
			end_if_stopped();
			fail(STATUS_OTHER, "%s is damaged", path);
		}
		add_range(ranges, range);
	}
	return file;
}

bool read_raw(FILE *file, const struct raw_header *header,
	      struct kvm_page_track_event *event)
{
	size_t rest = header->event_size - sizeof(*event);

	/* Half an event at the end is of a program that was killed. */
	if (fread(event, sizeof(*event), 1, file) != 1)
		return false;

	/* What a later version has behind it; by reading, as it may be a pipe. */
	while (rest && fgetc(file) != EOF)
		rest--;
	return !rest;
}
