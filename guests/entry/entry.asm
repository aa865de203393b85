; From the boot loader into 64-bit mode: what every guest kernel here starts with.
;
; A Multiboot 1 loader (QEMU's -kernel, GRUB, Ringside) enters at `start` in 32-bit protected mode, paging off,
; EAX = 0x2BADB002, EBX = address of the Multiboot information. Long mode needs paging, so page tables come first.
; Then it calls  kernel_main(multiboot information)  on a stack of 16 KB, interrupts off.

%define MULTIBOOT_MAGIC  0x1BADB002
%define MULTIBOOT_FLAGS  (1 << 1)     ; wants memory information

%define PAGE_PRESENT     (1 << 0)
%define PAGE_WRITABLE    (1 << 1)
%define PAGE_LARGE       (1 << 7)     ; a page-directory entry that maps 2 MB itself

%define CR0_PE           (1 << 0)
%define CR0_WP           (1 << 16)    ; the kernel, too, respects read-only pages
%define CR0_PG           (1 << 31)
%define CR4_PAE          (1 << 5)
%define MSR_EFER         0xC0000080
%define EFER_SCE         (1 << 0)     ; SYSCALL and SYSRET
%define EFER_LME         (1 << 8)     ; long mode, as soon as paging goes on
%define EFER_NXE         (1 << 11)    ; bit 63 of an entry forbids execution

extern kernel_main
global start, boot_gdt, boot_pml4, boot_pdpt, boot_pd

section .multiboot
align 4
        dd MULTIBOOT_MAGIC
        dd MULTIBOOT_FLAGS
        dd -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

section .text
bits 32
start:
        cli
        cld
        mov esp, boot_stack_top
        mov esi, ebx                        ; keep the Multiboot information

; Four levels, of which the last is left out: one PML4 entry, one page-directory-pointer entry, and 512 large pages
; of 2 MB. Together they map the first gigabyte to itself.
build_page_tables:
        mov dword [boot_pml4], boot_pdpt + PAGE_PRESENT + PAGE_WRITABLE
        mov dword [boot_pdpt], boot_pd + PAGE_PRESENT + PAGE_WRITABLE
        xor ecx, ecx
.next:  mov eax, ecx
        shl eax, 21
        or eax, PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE
        mov [boot_pd + ecx * 8], eax
        inc ecx
        cmp ecx, 512
        jb .next

; The order is the architecture's (SDM vol. 3, 10.8.5): PAE, CR3, EFER.LME, then paging.
enter_long_mode:
        mov eax, cr4
        or eax, CR4_PAE
        mov cr4, eax
        mov eax, boot_pml4
        mov cr3, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, EFER_LME | EFER_SCE | EFER_NXE
        wrmsr
        mov eax, cr0
        or eax, CR0_PG | CR0_WP | CR0_PE
        mov cr0, eax                        ; from here on: long mode, but still 32-bit code (compatibility mode)
        lgdt [boot_gdt_pointer]
        jmp 0x08:long_mode                  ; a code segment with L = 1 makes it 64-bit code

bits 64
long_mode:
        mov ax, 0x10
        mov ss, ax
        mov ds, ax
        mov es, ax
        xor eax, eax
        mov fs, ax
        mov gs, ax
        mov esp, boot_stack_top
        xor ebp, ebp                        ; ends the chain of frame pointers
        mov edi, esi                        ; first argument: the Multiboot information
        call kernel_main
.stop:  cli
        hlt
        jmp .stop

section .rodata
align 8
boot_gdt:
        dq 0
        dq 0x00209B0000000000               ; 0x08: 64-bit code, ring 0
        dq 0x00CF93000000FFFF               ; 0x10: data, ring 0
boot_gdt_pointer:
        dw $ - boot_gdt - 1
        dq boot_gdt

section .bss align=4096
boot_pml4:      resb 4096
boot_pdpt:      resb 4096
boot_pd:        resb 4096
boot_stack:     resb 16384
boot_stack_top:

section .note.GNU-stack noalloc noexec nowrite progbits
