/** How much host memory a machine takes: the processor's own structures, guest RAM, and the tables that map it. */

import { PAGE_SIZE } from '../engine/host-memory.ts'
import { FRAMES_BASE } from '../engine/layout.ts'
import { eptFrames } from '../vmm/ept.ts'

const WASM_PAGE = 65536
/** Per VM, beyond RAM and its tables: frames of the legacy hole and for open-bus pages, rounded up generously. */
const SPARE_FRAMES = 512

/** Bytes of host memory for VMs with so many bytes of RAM each, rounded to pages of WebAssembly. */
export function hostMemoryBytes(...guests: readonly number[]): number {
  let frames = 0
  for (const bytes of guests) frames += bytes / PAGE_SIZE + eptFrames(bytes) + SPARE_FRAMES
  return Math.ceil((FRAMES_BASE + frames * PAGE_SIZE) / WASM_PAGE) * WASM_PAGE
}
