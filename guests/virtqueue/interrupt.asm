; The way into the handler of the disk's interrupt and out of it: C may change these registers, the kernel expects them.

extern disk_interrupt
global disk_interrupt_entry

bits 64
section .text
disk_interrupt_entry:
        push rax
        push rcx
        push rdx
        push rsi
        push rdi
        push r8
        push r9
        push r10
        push r11
        cld
        call disk_interrupt
        pop r11
        pop r10
        pop r9
        pop r8
        pop rdi
        pop rsi
        pop rdx
        pop rcx
        pop rax
        iretq

section .note.GNU-stack noalloc noexec nowrite progbits
