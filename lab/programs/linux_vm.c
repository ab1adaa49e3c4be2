// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: linux_vm KERNEL INITRD [boot|init]
 *
 * Boot KERNEL, an uncompressed Linux that needs no interrupts, with INITRD, and print its
 * console until that says "guest: done".
 *
 * All of its memory is under notify, from its first instruction on ("boot"), or from when its
 * console says "guest: init".  What the events say is done to a copy of the memory, too: in the
 * end, both have to be the same.  What was told goes to stderr.
 */
#include <asm/bootparam.h>
#include <asm/e820.h>
#include <asm/kvm_page_track.h>
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE		4096ul
#define MEMORY		(32ul << 20)
#define LOW_END		0x9f000		/* of what a PC has below HIGH */
#define HIGH		0x100000
#define NR_EVENTS	65536
#define SERIAL		0x3f8
#define LINE_STATUS	(SERIAL + 5)	/* here, always ready */

/* Where in the memory is what the boot protocol for 64-bit mode wants there, in bytes. */
#define GDT		0x500
#define BOOT_PARAMS	0x7000
#define PAGE_TABLES	0x9000		/* three levels, for the first GiB */
#define COMMAND_LINE	0x20000
#define CS		0x10
#define DS		0x18

static const char command_line[] = "earlyprintk=ttyS0,keep quiet nolapic panic=-1 "
				   "tsc_early_khz=1000000 lpj=1000000 random.trust_cpu=on";

static uint8_t *memory, *copy;
static struct kvm_page_track_ring *ring;
static uint64_t nr_told, nr_stepped, nr_page_walks, nr_untracked;

static int check(int r, const char *what)
{
	if (r < 0)
		err(1, "%s", what);
	return r;
}

static void *map(size_t size, int prot, int flags, int fd, const char *what)
{
	void *p = mmap(NULL, size, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		err(1, "%s", what);
	return p;
}

static const void *map_file(const char *name, size_t *size)
{
	int fd = check(open(name, O_RDONLY), name);
	struct stat st;

	check(fstat(fd, &st), name);
	*size = st.st_size;
	return map(*size, PROT_READ, MAP_PRIVATE, fd, name);
}

/* Returns where it starts. */
static uint64_t load_kernel(const char *name)
{
	size_t size;
	const uint8_t *file = map_file(name, &size);
	const Elf64_Ehdr *elf = (const void *)file;
	const Elf64_Phdr *part = (const void *)(file + elf->e_phoff);
	int i;

	for (i = 0; i < elf->e_phnum; i++, part++) {
		if (part->p_type != PT_LOAD)
			continue;
		if (part->p_paddr + part->p_memsz > MEMORY)
			errx(1, "%s is too large", name);
		memcpy(memory + part->p_paddr, file + part->p_offset, part->p_filesz);
	}
	return elf->e_entry;
}

static void load_initrd(const char *name, struct boot_params *b)
{
	size_t size;
	const void *file = map_file(name, &size);

	b->hdr.ramdisk_size = size;
	b->hdr.ramdisk_image = (MEMORY - size) & ~(PAGE - 1);
	memcpy(memory + b->hdr.ramdisk_image, file, size);
}

static void set_boot_params(struct boot_params *b)
{
	b->hdr.boot_flag = 0xaa55;
	b->hdr.header = 0x53726448;
	b->hdr.type_of_loader = 0xff;
	b->hdr.loadflags = LOADED_HIGH;
	b->hdr.cmd_line_ptr = COMMAND_LINE;
	b->hdr.cmdline_size = sizeof(command_line);
	memcpy(memory + COMMAND_LINE, command_line, sizeof(command_line));
	b->e820_entries = 2;
	b->e820_table[0] = (struct boot_e820_entry) { 0, LOW_END, E820_RAM };
	b->e820_table[1] = (struct boot_e820_entry) { HIGH, MEMORY - HIGH, E820_RAM };
}

static void make_tables(void)
{
	uint64_t *gdt = (void *)(memory + GDT), *table = (void *)(memory + PAGE_TABLES);
	int i;

	gdt[CS / 8] = 0x00af9b000000ffff;
	gdt[DS / 8] = 0x00cf93000000ffff;
	table[0] = (PAGE_TABLES + PAGE) | 3;
	table[512] = (PAGE_TABLES + 2 * PAGE) | 3;
	for (i = 0; i < 512; i++)
		table[1024 + i] = (uint64_t)i << 21 | 0x83;
}

static void set_registers(int vcpu, uint64_t entry)
{
	struct kvm_regs regs = { .rip = entry, .rsi = BOOT_PARAMS, .rflags = 2 };
	struct kvm_segment cs = {
		.limit = ~0u, .selector = CS, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	}, ds = {
		.limit = ~0u, .selector = DS, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	struct kvm_sregs s;

	check(ioctl(vcpu, KVM_GET_SREGS, &s), "KVM_GET_SREGS");
	s.cs = cs;
	s.ds = s.es = s.fs = s.gs = s.ss = ds;
	s.gdt.base = GDT;
	s.gdt.limit = DS + 7;
	s.cr0 = 0x80000031;	/* PG, NE, ET, PE */
	s.cr3 = PAGE_TABLES;
	s.cr4 = 0x20;		/* PAE */
	s.efer = 0x500;		/* LMA, LME */
	check(ioctl(vcpu, KVM_SET_SREGS, &s), "KVM_SET_SREGS");
	check(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/*
 * All that KVM has, but what makes Linux clear pages byte by byte, and what needs PKRU; nothing
 * of which processor this one runs on.
 */
static void set_cpuid(int kvm, int vcpu)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[128];
	} cpuid = { .head.nent = 128 };
	struct kvm_cpuid_entry2 *e = cpuid.entries;

	check(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
	for (; e < cpuid.entries + cpuid.head.nent; e++) {
		if (e->function == 0xb || e->function == 0x1f)
			e->edx = 0;		/* the APIC ID */
		if (e->index)
			continue;
		if (e->function == 1) {
			e->ebx &= 0xffffff;	/* once more */
		} else if (e->function == 0x8000001e) {
			e->eax = 0;
		} else if (e->function == 7) {
			e->ebx &= ~(1u << 9);	/* ERMS */
			e->ecx &= ~(1u << 3);	/* PKU */
			e->edx &= ~(1u << 4);	/* FSRM */
		} else if (e->function == 0xd) {
			e->eax &= 7;		/* x87, SSE, AVX */
		}
	}
	check(ioctl(vcpu, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
}

static void track(int vm)
{
	struct kvm_create_page_tracker create = {
		.nr_events = NR_EVENTS, .flags = KVM_PAGE_TRACKER_STEP
	};
	struct kvm_page_track_range range = {
		.size = MEMORY, .mode = KVM_PAGE_TRACK_MODE_WRITE,
		.action = KVM_PAGE_TRACK_ACTION_NOTIFY
	};
	int fd = check(ioctl(vm, KVM_CREATE_PAGE_TRACKER, &create), "KVM_CREATE_PAGE_TRACKER");

	ring = map(PAGE + NR_EVENTS * sizeof(struct kvm_page_track_event),
		   PROT_READ | PROT_WRITE, MAP_SHARED, fd, "the ring");
	copy = map(MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, "the copy");
	memcpy(copy, memory, MEMORY);
	check(ioctl(fd, KVM_PAGE_TRACK_ADD_RANGE, &range), "KVM_PAGE_TRACK_ADD_RANGE");
}

/*
 * An event may not have all the bytes, e.g. of a step: the page is copied as it is now, and the
 * events behind it, up to now, are done to it once more.
 */
static void follow(const struct kvm_page_track_event *e)
{
	uint64_t page = e->gpa & ~(PAGE - 1);

	nr_told++;
	nr_stepped += !!(e->flags & KVM_PAGE_TRACK_EVENT_STEPPED);
	nr_page_walks += !!(e->flags & KVM_PAGE_TRACK_EVENT_PAGE_WALK);
	nr_untracked += !!(e->flags & KVM_PAGE_TRACK_EVENT_UNTRACKED);
	if (e->flags & ~KVM_PAGE_TRACK_EVENT_GVA)
		memcpy(copy + page, memory + page, PAGE);
	else
		memcpy(copy + e->gpa, e->data, e->len);
}

static void read_events(void)
{
	const struct kvm_page_track_event *events = (void *)((uint8_t *)ring + PAGE);
	uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE), i;

	for (i = ring->tail; i != head; i++)
		follow(&events[i % NR_EVENTS]);
	__atomic_store_n(&ring->tail, head, __ATOMIC_RELEASE);
}

/* Returns whether the console has said @line. */
static int serve_io(struct kvm_run *run, const char *line)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset, value;
	static int matched;

	if (run->io.direction == KVM_EXIT_IO_IN) {
		value = run->io.port == LINE_STATUS ? 0x60 : 0;
		memset(data, value, run->io.count * run->io.size);
	} else if (run->io.port == SERIAL) {
		putchar(*data);
		matched = *data == line[matched] ? matched + 1 : *data == line[0];
		if (!line[matched]) {
			matched = 0;
			return 1;
		}
	}
	return 0;
}

static void run_until(struct kvm_run *run, int vcpu, const char *line)
{
	for (;;) {
		check(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
		if (ring)
			read_events();
		if (run->exit_reason == KVM_EXIT_IO && serve_io(run, line))
			return;
		if (run->exit_reason != KVM_EXIT_IO && run->exit_reason != KVM_EXIT_PAGE_TRACK) {
			fflush(stdout);
			errx(1, "the guest ends with exit reason %u", run->exit_reason);
		}
	}
}

/* Returns the number of bytes that nobody was told of, and says where the first ones are. */
static int compare(void)
{
	int nr_bad = 0;
	uint64_t i;

	for (i = 0; i < MEMORY; i++) {
		if (copy[i] != memory[i] && nr_bad++ < 10)
			warnx("at %#lx is %#x, told was %#x", i, memory[i], copy[i]);
	}
	return nr_bad;
}

int main(int argc, char **argv)
{
	struct kvm_userspace_memory_region slot = { .memory_size = MEMORY };
	int kvm, vm, vcpu, nr_bad;
	struct kvm_run *run;

	if (argc < 3)
		return 2;
	kvm = check(open("/dev/kvm", O_RDWR), "/dev/kvm");
	vm = check(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	memory = map(MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, "memory");
	slot.userspace_addr = (uintptr_t)memory;
	check(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
	check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
	vcpu = check(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	run = map(check(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE"),
		  PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, "struct kvm_run");

	set_cpuid(kvm, vcpu);
	set_registers(vcpu, load_kernel(argv[1]));
	make_tables();
	set_boot_params((void *)(memory + BOOT_PARAMS));
	load_initrd(argv[2], (void *)(memory + BOOT_PARAMS));

	if (argc > 3 && !strcmp(argv[3], "boot"))
		track(vm);
	run_until(run, vcpu, "guest: init\n");
	if (argc > 3 && !ring)
		track(vm);
	run_until(run, vcpu, "guest: done\n");
	fflush(stdout);
	if (!ring)
		return 0;

	nr_bad = compare();
	fprintf(stderr, "%lu writes told, %lu stepped, of which %lu by page walks; "
		"%lu pages untracked, %d bytes not told\n",
		nr_told, nr_stepped, nr_page_walks, nr_untracked, nr_bad);
	return nr_bad || nr_untracked || nr_stepped == nr_page_walks;
}
