/** `ringside dap` from source in a process of its own, as an editor starts it. */

import { fileURLToPath } from 'node:url'
import { DapClient } from '../../scripts/dap-client.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

export function startAdapter(): DapClient {
  return DapClient.spawn(process.execPath, [MAIN, 'dap'])
}
