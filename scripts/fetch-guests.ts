/** Fetches the stock kernels of `npm run test:kernels` into the cache, and says where each is; fails if one is missing. */

import { fetchPackaged, PACKAGED_NAMES } from '../test/kernels/packages.ts'

for (const name of PACKAGED_NAMES) {
  try {
    console.log(`${name}: ${fetchPackaged(name)}`)
  } catch (error) {
    console.error(`${name}: ${error instanceof Error ? error.message : error}`)
    process.exitCode = 1
  }
}
