/** Strings as boot protocols pass them: UTF-8 with a final NUL. */

import { type BootRequest, ImageError } from './boot-target.ts'

/** Throws {@link ImageError} for a string with a NUL in it, of which the guest would see the first part only. */
export function cString(request: BootRequest, text: string): Uint8Array {
  if (text.includes('\0')) throw new ImageError(`${request.name}: the command line contains a NUL character`)
  return new TextEncoder().encode(`${text}\0`)
}
