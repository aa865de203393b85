; The ways into ring 0 and out of it. Both build `struct frame` of kernel.h: for an exception the processor pushes its
; last five words; SYSCALL pushes nothing, so system_call_entry pushes what an exception would have left.

%define USER_DATA_SELECTOR   0x23
%define USER_CODE_SELECTOR   0x2B
%define RFLAGS_RESERVED      (1 << 1)

extern handle_page_fault, handle_system_call
global page_fault_entry, system_call_entry, enter_user

bits 64
section .text

; On the stack: error code, RIP, CS, RFLAGS, RSP, SS (SDM vol. 3, figure 6-9).
page_fault_entry:
        call save_registers                 ; #page-fault-entry
        mov rdi, rsp
        call handle_page_fault
        call restore_registers
        add rsp, 8                          ; the error code
        iretq                               ; #repeat: the instruction that faulted is executed once more

; enter_user(instruction, stack): IRETQ, as if from an interrupt that never happened.
enter_user:
        push qword USER_DATA_SELECTOR       ; SS
        push rsi                            ; RSP
        push qword RFLAGS_RESERVED          ; RFLAGS, interrupts off
        push qword USER_CODE_SELECTOR       ; CS, whose low two bits are the ring
        push rdi
        xor ebp, ebp                        ; ends the chain of frame pointers
        iretq                               ; #to-ring-3

; SYSCALL leaves the return address in RCX and the flags in R11, and the stack as it is: the program's, on which a
; kernel must not rely.
system_call_entry:
        mov [user_stack], rsp               ; #system-call-entry
        mov rsp, system_call_stack_top      ; from here on things may be pushed
        push qword USER_DATA_SELECTOR
        push qword [user_stack]
        push r11
        push qword USER_CODE_SELECTOR
        push rcx
        push qword 0                        ; no error code
        call save_registers
        mov rdi, rsp
        call handle_system_call             ; #in-system-call
        call restore_registers              ; RAX is what the C function put into the frame
        add rsp, 8
        pop rcx
        add rsp, 8
        pop r11
        pop rsp
        o64 sysret                          ; #sysret

; Everything that C may change, below what lies on the stack already.
save_registers:
        xchg rax, [rsp]                     ; the return address, for RAX
        push rcx
        push rdx
        push rsi
        push rdi
        push r8
        push r9
        push r10
        push r11
        cld
        jmp rax

restore_registers:
        pop rax
        pop r11
        pop r10
        pop r9
        pop r8
        pop rdi
        pop rsi
        pop rdx
        pop rcx
        xchg rax, [rsp]
        ret

section .bss align=16
user_stack:             resq 2
                        resb 8192
system_call_stack_top:

section .note.GNU-stack noalloc noexec nowrite progbits
