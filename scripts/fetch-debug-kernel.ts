/**
 * Fetches the `vmlinux` with debugging information of the Debian kernel in the cache, and says where it is. Its package
 * has 283 MB; only the one file, of 590 MB, is kept.
 */

import { fetchDebugKernel } from '../test/linux/debug-kernel.ts'

console.log(fetchDebugKernel())
