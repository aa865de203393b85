/** What a loader needs of a machine: guest RAM to write to, and the first vCPU's registers to set. */

import type { SegmentName, SegmentRegister } from '../engine/processor.ts'

/** An image that can't be booted: exit status 65. The message names the file and the reason. */
export class ImageError extends Error {}

/** A range of the memory map (E820 types: 1 usable, 2 reserved, 3 ACPI data, 4 ACPI NVS). */
export interface MemoryRange {
  readonly start: number
  readonly length: number
  readonly type: 1 | 2 | 3 | 4
}

export interface GuestRam {
  /** The E820 map that the firmware would report, ascending. */
  readonly map: readonly MemoryRange[]
  /** Throws {@link RangeError} outside RAM. */
  write(gpa: number, bytes: Uint8Array): void
  read(gpa: number, length: number): Uint8Array
}

/** Register state in which the boot processor starts; what is absent keeps its reset value. */
export interface EntryState {
  readonly registers: Readonly<Record<string, bigint>>
  readonly segments?: Readonly<Partial<Record<SegmentName, SegmentRegister>>>
  readonly gdtr?: { readonly base: bigint; readonly limit: number }
  readonly idtr?: { readonly base: bigint; readonly limit: number }
}

export interface BootRequest {
  /** Name for messages. */
  readonly name: string
  readonly image: Uint8Array
  readonly initrd?: Uint8Array
  readonly initrdName?: string
  readonly cmdline: string
  /** Guest-physical address of the ACPI RSDP, for protocols that pass it on. */
  readonly rsdp?: number
}

/** One boot protocol. */
export interface Loader {
  readonly protocol: string
  /** Does the image look like this protocol's? Cheap, never throws. */
  recognizes(image: Uint8Array): boolean
  /** Writes the image into RAM and tells how the processor enters it. Throws {@link ImageError}. */
  load(request: BootRequest, ram: GuestRam): EntryState
}
