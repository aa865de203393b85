/** Launches what a browser can run: a guest needs nothing of its host but files that are read once. */

import type { Debugger } from '../debugger/debugger.ts'
import { type LaunchOptions, launch, type Turn } from '../debugger/launch.ts'
import { ConfigurationError } from '../machine/configuration.ts'

/** As {@link launch}; throws `ConfigurationError` also for what a browser does not have. */
export async function browserLaunch(options: LaunchOptions, turn?: Turn): Promise<Debugger> {
  const missing = needsHost(options)
  if (missing !== undefined)
    throw new ConfigurationError(`${missing}, which a browser does not have: open the folder in VS Code on a machine`)
  return await launch(options, turn)
}

/** What of the options needs a machine with files and sockets below; undefined for nothing. */
function needsHost({ disks = [], shares = [], pcap, net, moduleSymbols = [] }: LaunchOptions): string | undefined {
  if (disks.length > 0) return '"disks" are files that the guest writes to'
  if (shares.length > 0) return '"shares" are folders of the machine'
  if (pcap !== undefined) return '"pcap" is a file that is written'
  if (moduleSymbols.length > 0) return '"moduleSymbols" are searched for in folders of the machine'
  if (net !== undefined && !/^(none|user)$/.test(net)) return `"net": "${net}" needs sockets`
  return undefined
}
