/** `ringside dap`: the debug adapter, for guests in the embedded machine. */

import { type AddressInfo, createServer } from 'node:net'
import { launch } from '../debugger/launch.ts'
import { serve } from './server.ts'

/** The only address that is listened at: whoever reaches the adapter can read files and run guests. */
const LOOPBACK = '127.0.0.1'

/** Speaks on standard input and output. Resolves with the exit status when the client has gone. */
export async function serveStandardStreams(): Promise<number> {
  await serve(process.stdin, process.stdout, launch)
  return 0
}

/**
 * Listens at a port of this machine, one session for each connection, until the process is ended.
 * @param port 0 for any that is free.
 * @param ready is told the port.
 */
export function servePort(port: number, ready: (port: number) => void): Promise<number> {
  return new Promise((_resolve, reject) => {
    const server = createServer(socket => {
      socket.setNoDelay(true)
      socket.on('error', () => socket.destroy())
      void serve(socket, socket, launch).then(() => socket.end())
    })
    server.on('error', reject)
    server.listen(port, LOOPBACK, () => {
      const address: AddressInfo | string | null = server.address()
      if (address !== null && typeof address === 'object') ready(address.port)
    })
  })
}
