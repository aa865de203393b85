/** Fetches the Debian kernel of the Linux tests and of the boot benchmark into the cache, and says where it is. */

import { fetchKernel } from '../test/linux/kernel.ts'

const kernel = fetchKernel()
console.log(`Linux ${kernel.release}: ${kernel.image}`)
