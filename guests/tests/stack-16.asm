; 16-bit code in protected mode, in segments whose base is not 0, and in virtual-8086 mode, as 32-bit code calls it.
; A debugger's tests stop at the labels `.stop`.
section .text
text_start:                                 ; at 100000h, by the linker
%include "multiboot.inc"

%define CODE_32          0x08
%define DATA_32          0x10
%define CODE_16          0x18
%define OTHER_CODE_16    0x20
%define STACK_16         0x28
%define TASK             0x30

%define STACK_TOP        0x2000
%define V86_CODE         0xFFFF             ; FFFF:0010 is the first byte of .text, as FFFE:0020 is
%define V86_OTHER_CODE   0xFFFE
%define V86_STACK        0x7000
%define EFLAGS_V86       0x23002            ; VM, and IOPL 3: INT n goes through the IDT

start:  cli
        lgdt [gdt_pointer]
        jmp CODE_32:.here
.here:  mov ax, DATA_32
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esp, kernel_stack_top
        xor ebp, ebp
        mov dword [task_state + 4], monitor_stack_top
        mov dword [task_state + 8], DATA_32
        mov ax, TASK
        ltr ax
        lidt [idt_pointer]
        call protected_16
        call virtual_8086
        leave_with 5

protected_16:
        push ebp
        mov ebp, esp
        mov [.esp], esp
        mov ax, STACK_16
        mov ss, ax
        mov esp, STACK_TOP
        call CODE_16:near_outer - text_start
.back:  mov ax, DATA_32
        mov ss, ax
        mov esp, [.esp]
        pop ebp
        ret
.esp:   dd 0

virtual_8086:
        push ebp
        mov ebp, esp
        push 0                              ; GS, FS, DS, ES
        push 0
        push 0
        push 0
        push V86_STACK
        push 0                              ; SP: the first PUSH goes to FFFEh
        push EFLAGS_V86
        push V86_CODE
        push v86_outer - text_start + 0x10
        iretd

; INT 40h of virtual-8086 mode ends here, on the stack that the TSS names.
monitor:
        push eax
        push ebx
.stop:  mov bx, DATA_32                     ; all but CS and SS are null
        mov ds, bx
        cmp byte [.calls], 0
        jne .end
        inc byte [.calls]
        pop ebx
        pop eax
        iretd
.end:   leave_with 5
.calls: db 0

bits 16
near_outer:
        push bp
        mov bp, sp
        call near_inner
        pop bp
        o32 retf

near_inner:
        push bp
        mov bp, sp
        push ax
        call OTHER_CODE_16:far_leaf - text_start + 0x1000
        int 0x41
        pop ax
        pop bp
        ret

far_leaf:
        push bp
        mov bp, sp
.stop:  nop
        pop bp
        retf

; By a 16-bit gate: three words.
word_interrupt:
        push ax
        push bx
.stop:  int 0x42
        pop bx
        pop ax
        iret

; By a 32-bit gate to 16-bit code: three doublewords.
doubleword_interrupt:
        push cx
.stop:  pop cx
        o32 iret

v86_outer:
        push bp
        mov bp, sp
        call v86_inner
        int 0x40
.hang:  jmp .hang

v86_inner:
        push bp
        mov bp, sp
        push ax
        call V86_OTHER_CODE:v86_far_leaf - text_start + 0x20
        pop ax
        pop bp
        ret

v86_far_leaf:
        push bp
        mov bp, sp
.stop:  int 0x40
        pop bp
        retf

align 4
task_state:
        times 104 db 0

section .data
align 8
gdt:    dq 0
        dq 0x00CF9B000000FFFF               ; 32-bit code
        dq 0x00CF93000000FFFF               ; data
        dq 0x00009B100000FFFF               ; 16-bit code from 100000h
        dq 0x00009B0FF000FFFF               ; 16-bit code from FF000h
        dq 0x000093080000FFFF               ; 16-bit stack from 80000h
        dw 0x67, task_state - text_start, 0x8910, 0 ; available 32-bit TSS
gdt_pointer:
        dw $ - gdt - 1
        dd gdt
idt:    times 0x40 dq 0
        dw monitor - text_start, CODE_32, 0xEE00, 0x10   ; 40h: 32-bit gate, DPL 3
        dw word_interrupt - text_start, CODE_16, 0x8600, 0
        dw doubleword_interrupt - text_start, CODE_16, 0x8E00, 0
idt_pointer:
        dw $ - idt - 1
        dd idt

section .bss
align 4
                resb 1024
kernel_stack_top:
                resb 1024
monitor_stack_top:
