/** Choosing the boot protocol of an image. */

import { type BootRequest, type EntryState, type GuestRam, ImageError, type Loader } from './boot-target.ts'
import { describeImage } from './describe-image.ts'
import { elfDirect } from './elf-direct.ts'
import { flatLoader } from './flat.ts'
import { linux, linux32 } from './linux/linux-loader.ts'
import { multiboot1 } from './multiboot/multiboot1.ts'
import { multiboot2 } from './multiboot/multiboot2.ts'
import { pvh } from './pvh.ts'

/**
 * In order of recognition. As with QEMU's `-kernel`, "HdrS" makes an image a Linux kernel before anything else is
 * looked for; a multiboot header counts more than a PVH note; what QEMU doesn't take comes after what it does.
 */
const LOADERS: readonly Loader[] = [linux, multiboot1, multiboot2, pvh, flatLoader(), elfDirect]

/** Those that only an explicit choice selects. */
const FORCED_LOADERS: readonly Loader[] = [linux32]

/** Names for an explicit choice. */
export const PROTOCOLS: readonly string[] = [...LOADERS, ...FORCED_LOADERS].map(loader => loader.protocol)

const ACCEPTED =
  'a Linux bzImage, an ELF or flat image with a multiboot or multiboot2 header, an ELF file with a PVH note, a plain static x86 ELF file, or a 512-byte boot sector'

/**
 * The loader for `request.image`: the one called `forced`, or the first that recognizes the image.
 * Throws {@link ImageError} when there is none.
 */
export function chooseLoader(request: BootRequest, forced?: string): Loader {
  if (forced !== undefined) {
    const loader = [...LOADERS, ...FORCED_LOADERS].find(candidate => candidate.protocol === forced)
    if (loader) return loader
    throw new ImageError(`${request.name}: unknown boot protocol "${forced}"; there are ${PROTOCOLS.join(', ')}`)
  }
  const loader = LOADERS.find(candidate => candidate.recognizes(request.image))
  if (loader) return loader
  throw new ImageError(
    `${request.name}: not a bootable image but ${describeImage(request.image)}. Accepted are ${ACCEPTED}; any other file can be loaded as it is with the boot protocol "flat"`,
  )
}

/** Chooses the loader and loads. Throws {@link ImageError}. */
export function loadImage(request: BootRequest, ram: GuestRam, forced?: string): EntryState {
  return chooseLoader(request, forced).load(request, ram)
}
