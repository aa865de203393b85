/* What the kernel does for programs: the number goes in RAX, arguments in RDI and RSI, the result comes in RAX. */
#pragma once

#define SYSTEM_CALL_WRITE 1 /* (text, length) to the console; the length */
#define SYSTEM_CALL_TICKS 2 /* () timer interrupts so far */
#define SYSTEM_CALL_EXIT 3  /* (status) */
