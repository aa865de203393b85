/** Exit statuses of the `ringside` command (those of sysexits.h and of timeout(1) where they fit). */

export const STATUS_DONE = 0
/** Wrong usage of the command. */
export const STATUS_USAGE = 64
/** An image that can't be booted, a snapshot that can't be restored. */
export const STATUS_DATA = 65
/** A file that can't be read or written. */
export const STATUS_FILE = 66
/** A fault of ours. */
export const STATUS_INTERNAL = 70
export const STATUS_TIMEOUT = 124
/** The guest ran into a triple fault, or into something no processor can serve. */
export const STATUS_GUEST_CRASH = 126

/** Status for a debug-exit with value `v`, as QEMU's isa-debug-exit has it. */
export const debugExitStatus = (value: number): number => ((value << 1) | 1) & 0xff

/** Wrong usage: the message is followed by a hint at `--help`. */
export class UsageError extends Error {}
