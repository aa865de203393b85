; From the boot loader down to real mode, and from there up again, mode by mode, to 64-bit C.
;
; A Multiboot 1 loader enters at `start` in 32-bit protected mode. A PC without one begins where `real_mode` is: in
; 16-bit real mode, as after power-on, and as every further processor of a machine that has several. What follows from
; there is what every 64-bit kernel does, or has done for it. Whoever steps through it sees the mode change at the
; lines marked with #; a debugger's tests find them by these marks.

%define MULTIBOOT_MAGIC  0x1BADB002
%define COM1             0x3F8
%define COM1_LINE_STATUS (COM1 + 5)
%define TRANSMITTER_EMPTY (1 << 5)

%define CR0_PE           (1 << 0)     ; protection enable
%define CR0_WP           (1 << 16)    ; ring 0, too, respects read-only pages
%define CR0_PG           (1 << 31)    ; paging
%define CR4_PAE          (1 << 5)
%define MSR_EFER         0xC0000080
%define EFER_SCE         (1 << 0)     ; SYSCALL and SYSRET
%define EFER_LME         (1 << 8)     ; long mode, as soon as paging goes on
%define EFER_NXE         (1 << 11)    ; bit 63 of a page-table entry forbids execution

%define PAGE_PRESENT     (1 << 0)
%define PAGE_WRITABLE    (1 << 1)
%define PAGE_USER        (1 << 2)
%define PAGE_LARGE       (1 << 7)

; Selectors of the table `gdt` at the end; kernel.h has those that C needs.
%define KERNEL_CODE_SELECTOR 0x08
%define KERNEL_DATA_SELECTOR 0x10
%define CODE_32_SELECTOR     0x30
%define CODE_16_SELECTOR     0x38
%define DATA_16_SELECTOR     0x40

%define REAL_MODE_STACK  0x7C00

extern kernel_main
extern low_image, low_size              ; modes.ld
global start, page_directory_pointers

section .multiboot
align 4
        dd MULTIBOOT_MAGIC, 0, -MULTIBOOT_MAGIC

; ---- 32 bits, protected mode: as the loader leaves it

section .text
bits 32
start:
        cli                                 ; #start: there is no table for interrupts in any of these modes
        cld

; Real mode reaches the first megabyte only, and the loader put us above it.
copy_low_code:
        mov esi, low_image
        mov edi, leave_protected_mode       ; the first of it
        mov ecx, low_size
        rep movsb

; A processor leaves protected mode from 16-bit segments only, else real mode would go on with limits of 4 GB
; (SDM vol. 3, 10.9.2).
        lgdt [gdt_pointer]
        jmp CODE_16_SELECTOR:leave_protected_mode

; ---- 16 bits: linked to run at 0x8000

section .low progbits alloc exec nowrite align=16
bits 16
leave_protected_mode:
        mov ax, DATA_16_SELECTOR            ; #protected-16
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov eax, cr0
        and eax, ~CR0_PE
        mov cr0, eax                        ; #leave-protected-mode
        jmp 0:real_mode                     ; CS becomes a number again: an address divided by 16

; Real mode: an address is 16 * segment + offset. No rings, no pages, and nothing that forbids anything.
real_mode:
        xor ax, ax                          ; #real-mode
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, REAL_MODE_STACK
        mov si, real_mode_text
        call print_16                       ; #call-in-real-mode

; Bit 0 of CR0 is all that it takes, and a far jump, because only a far transfer loads CS.
enter_protected_mode:
        lgdt [gdt_pointer]                  ; #descriptor-table
        mov eax, cr0
        or al, CR0_PE
        mov cr0, eax                        ; #protection-on
        jmp dword CODE_32_SELECTOR:protected_mode ; still 16-bit code, already in protected mode

; Zero-terminated text at DS:SI to COM1.
print_16:
        mov dx, COM1_LINE_STATUS            ; #print-16
.wait:  in al, dx
        test al, TRANSMITTER_EMPTY
        jz .wait
        lodsb
        test al, al
        jz .end
        mov dx, COM1
        out dx, al
        jmp print_16
.end:   ret

real_mode_text: db "modes: 16-bit real mode", 10, 0

; In low memory, where every mode reaches it. SYSCALL and SYSRET dictate the order of the first five
; (SDM vol. 3, 5.8.8).
align 8
gdt:
        dq 0
        dq 0x00209B0000000000               ; 0x08: 64-bit code, ring 0
        dq 0x00CF93000000FFFF               ; 0x10: data, ring 0
        dq 0                                ; 0x18: would be 32-bit code of ring 3
        dq 0x00CFF3000000FFFF               ; 0x20: data, ring 3
        dq 0x0020FB0000000000               ; 0x28: 64-bit code, ring 3
        dq 0x00CF9B000000FFFF               ; 0x30: 32-bit code, ring 0
        dq 0x00009B000000FFFF               ; 0x38: 16-bit code, ring 0, limit 64 KB
        dq 0x000093000000FFFF               ; 0x40: 16-bit data, ring 0, limit 64 KB
gdt_pointer:
        dw $ - gdt - 1
        dd gdt

; ---- 32 bits again, this time of our own doing

section .text
bits 32
protected_mode:
        mov ax, KERNEL_DATA_SELECTOR        ; #protected-mode
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esp, boot_stack_top
        mov esi, protected_mode_text
        call print_32

; Long mode needs page tables. One entry each in the two upper levels, and 512 large pages of 2 MB: the first gigabyte
; at its own address, so that the next instruction is still there when paging goes on.
build_page_tables:
        mov dword [top_table], page_directory_pointers + PAGE_PRESENT + PAGE_WRITABLE + PAGE_USER ; #page-tables
        mov dword [page_directory_pointers], page_directory + PAGE_PRESENT + PAGE_WRITABLE
        xor ecx, ecx
.next:  mov eax, ecx
        shl eax, 21
        or eax, PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE
        mov [page_directory + ecx * 8], eax
        inc ecx
        cmp ecx, 512
        jb .next

; The order is the architecture's (SDM vol. 3, 10.8.5): PAE, CR3, EFER.LME, then paging.
enter_long_mode:
        mov eax, cr4                        ; #enable-pae
        or eax, CR4_PAE
        mov cr4, eax
        mov eax, top_table
        mov cr3, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, EFER_LME | EFER_SCE | EFER_NXE
        wrmsr
        mov eax, cr0
        or eax, CR0_PG | CR0_WP
        mov cr0, eax                        ; #paging-on: the same instructions, now found through page tables
        jmp KERNEL_CODE_SELECTOR:long_mode  ; #compatibility-mode: long mode, but still 32-bit code

; Zero-terminated text at ESI to COM1.
print_32:
        mov dx, COM1_LINE_STATUS
.wait:  in al, dx
        test al, TRANSMITTER_EMPTY
        jz .wait
        lodsb
        test al, al
        jz .end
        mov dx, COM1
        out dx, al
        jmp print_32
.end:   ret

; ---- 64 bits

bits 64
long_mode:
        mov ax, KERNEL_DATA_SELECTOR        ; #long-mode
        mov ds, ax
        mov es, ax
        mov ss, ax
        xor eax, eax
        mov fs, ax
        mov gs, ax
        mov esp, boot_stack_top
        xor ebp, ebp                        ; ends the chain of frame pointers
        call kernel_main                    ; #call-kernel

section .rodata
protected_mode_text: db "modes: 32-bit protected mode, no paging", 10, 0

section .bss align=4096
top_table:               resb 4096
page_directory_pointers: resb 4096
page_directory:          resb 4096
boot_stack:              resb 8192
boot_stack_top:

section .note.GNU-stack noalloc noexec nowrite progbits
