; The ways into the kernel and out of it, where C has no words: each must save what the interrupted program had.

%define KERNEL_DATA_SELECTOR 0x10
%define KERNEL_CODE_SELECTOR 0x08
%define USER_DATA_SELECTOR   0x23
%define USER_CODE_SELECTOR   0x2B
%define RFLAGS_IF            (1 << 9)
%define RFLAGS_RESERVED      (1 << 1)

extern handle_interrupt, handle_system_call
global interrupt_stubs, kernel_stack_top, fault_stack_top
global load_task, reload_segments, enter_user, system_call_entry

bits 64
section .text

; Some exceptions push an error code (SDM vol. 3, table 6-1). For the others a zero makes all frames alike.
%macro stub 1
stub_%1:
%if !(%1 = 8 || (%1 >= 10 && %1 <= 14) || %1 = 17 || %1 = 21 || %1 = 29 || %1 = 30)
        push qword 0
%endif
        push qword %1
        jmp interrupt_entry
%endmacro

%assign vector 0
%rep 48
        stub vector
%assign vector vector + 1
%endrep

; The pushes build `struct frame` of interrupts.c from its end.
interrupt_entry:
        push rax
        push rbx
        push rcx
        push rdx
        push rsi
        push rdi
        push rbp
        push r8
        push r9
        push r10
        push r11
        push r12
        push r13
        push r14
        push r15
        cld
        mov rdi, rsp                        ; the first argument of C: where the frame begins
        call handle_interrupt
        pop r15
        pop r14
        pop r13
        pop r12
        pop r11
        pop r10
        pop r9
        pop r8
        pop rbp
        pop rdi
        pop rsi
        pop rdx
        pop rcx
        pop rbx
        pop rax
        add rsp, 16                         ; vector and error code
        iretq

; enter_user(instruction, stack): there is no instruction "go to ring 3". IRETQ returns there from an interrupt that
; never happened.
enter_user:
        push qword USER_DATA_SELECTOR
        push rsi
        push qword RFLAGS_IF | RFLAGS_RESERVED
        push qword USER_CODE_SELECTOR
        push rdi
        xor ebp, ebp                        ; ends the chain of frame pointers
        iretq

; SYSCALL leaves the return address in RCX and the flags in R11, and does not touch the stack: the kernel must find
; its own. With one processor a variable is place enough for the user's stack pointer; FMASK keeps interrupts off.
system_call_entry:
        mov [user_stack], rsp
        mov rsp, system_call_stack_top
        push rcx
        push r11
        mov rcx, rdx                        ; arguments: RAX number, RDI, RSI, RDX
        mov rdx, rsi
        mov rsi, rdi
        mov rdi, rax
        call handle_system_call
        pop r11
        pop rcx
        mov rsp, [user_stack]
        o64 sysret

; A far return, because only a far transfer loads CS.
reload_segments:
        mov ax, KERNEL_DATA_SELECTOR
        mov ss, ax
        mov ds, ax
        mov es, ax
        pop rax
        push qword KERNEL_CODE_SELECTOR
        push rax
        retfq

load_task:
        ltr di
        ret

section .rodata
align 8
interrupt_stubs:
%assign vector 0
%rep 48
        dq stub_ %+ vector
%assign vector vector + 1
%endrep

section .bss align=16
user_stack:         resq 2
                    resb 8192
kernel_stack_top:
                    resb 8192
system_call_stack_top:
                    resb 4096
fault_stack_top:

section .note.GNU-stack noalloc noexec nowrite progbits
