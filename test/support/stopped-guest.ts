/** A prebuilt guest under the adapter in this process, stopped, with its machine within reach of the test. */

import { DapClient } from '../../scripts/dap-client.ts'
import { serve } from '../../src/adapter/server.ts'
import { Debugger } from '../../src/debugger/debugger.ts'
import { SymbolBook } from '../../src/debugger/symbol-book.ts'
import { VmTarget } from '../../src/debugger/vm-target.ts'
import { configure, readImage } from '../../src/machine/configuration.ts'
import { Pc } from '../../src/machine/pc.ts'
import { GUESTS } from './markers.ts'

export interface StoppedGuest {
  readonly client: DapClient
  readonly pc: Pc
}

/** @param breakpoint a request for a breakpoint; the guest has run until there. */
export async function stopGuest(
  name: string,
  breakpoint: readonly [command: string, args: object],
): Promise<StoppedGuest> {
  const image = readImage(`${GUESTS}prebuilt/${name}.elf`, 'program')
  const pc = await Pc.create(configure({ image, memory: 64 * 2 ** 20 }), {
    console: () => undefined,
    debugConsole: () => undefined,
  })
  const client = DapClient.connect(
    (input, output) =>
      void serve(input, output, async () => {
        pc.boot()
        const symbols = new SymbolBook()
        symbols.addElf(image.name, image.bytes)
        return new Debugger(new VmTarget(pc), symbols)
      }),
  )
  await client.launch({ program: image.name })
  await client.request(...breakpoint)
  await client.request('configurationDone')
  await client.event('stopped')
  return { client, pc }
}

/** The tour, stopped in its first system call. */
export const inSystemCall = (): Promise<StoppedGuest> =>
  stopGuest('tour', ['setFunctionBreakpoints', { breakpoints: [{ name: 'handle_system_call' }] }])
