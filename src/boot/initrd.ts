/** The initial RAM disk, or boot module: where it goes in guest memory. */

import { type BootRequest, type GuestRam, ImageError } from './boot-target.ts'
import { hex } from './hex.ts'
import { FOUR_GIB, PAGE_SIZE, type Placement } from './placement.ts'

export interface PlacedInitrd {
  readonly start: number
  /** Bytes. */
  readonly size: number
}

export interface InitrdOptions {
  /** First byte that it may not touch. */
  readonly to?: number
  /** As high as possible, out of the way of a kernel that grows upwards; otherwise as low as possible from `from`. */
  readonly highest: boolean
  readonly from?: number
}

/** Writes the initrd page-aligned into free RAM; undefined without one. Throws {@link ImageError} when it doesn't fit. */
export function loadInitrd(
  request: BootRequest,
  ram: GuestRam,
  placement: Placement,
  { to = FOUR_GIB, highest, from = 0 }: InitrdOptions,
): PlacedInitrd | undefined {
  const { initrd } = request
  if (!initrd || initrd.length === 0) return undefined
  const name = request.initrdName ?? 'initrd'
  const options = { align: PAGE_SIZE, to, highest, from }
  if (placement.find(initrd.length, options) === undefined) {
    throw new ImageError(
      `${name}: an initrd of ${initrd.length} bytes does not fit into the RAM below ${hex(Math.min(placement.end, to))} beside ${request.name}; give the machine more memory or use a smaller initrd`,
    )
  }
  const start = placement.allocate(initrd.length, 'the initrd', options)
  ram.write(start, initrd)
  return { start, size: initrd.length }
}

/** For protocols that can't tell the guest of an initrd: better an error than a guest that misses it. */
export function refuseInitrd(request: BootRequest, image: string): void {
  if (!request.initrd || request.initrd.length === 0) return
  throw new ImageError(
    `${request.name}: ${image} has no way to be told of an initrd; leave it out, or use a Linux, PVH or multiboot kernel`,
  )
}
