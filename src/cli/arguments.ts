/** The arguments of `ringside run` and `ringside dap`. */

import { parseArgs } from 'node:util'
import { PROTOCOLS } from '../boot/boot.ts'
import { DEFAULT_MODEL, MODEL_NAMES } from '../engine/cpu-model.ts'
import { parseBalloon, parseConsole, parseShare } from '../machine/channel-configuration.ts'
import { ConfigurationError, parseCount, parseSize } from '../machine/configuration.ts'
import { type DeviceConfiguration, parseEntropy } from '../machine/device-configuration.ts'
import { parseDisk } from '../machine/disk-configuration.ts'
import { parseNet } from '../machine/net-configuration.ts'
import { MAXIMUM_CPUS } from '../vmm/vm.ts'
import { UsageError } from './exit-status.ts'

export interface RunArguments {
  readonly image: string
  readonly initrd: string | undefined
  readonly cmdline: string | undefined
  /** Boot protocol; recognized from the image if undefined. */
  readonly protocol: string | undefined
  /** Bytes. */
  readonly memory: number | undefined
  readonly cpus: number | undefined
  /** Model of the processor. */
  readonly cpu: string | undefined
  /** Wall time in seconds. */
  readonly timeout: number | undefined
  readonly until: string | undefined
  /** File that statistics are written to. */
  readonly stats: string | undefined
  readonly reboot: boolean
  /** File that the machine is saved to where the run ends. */
  readonly save: string | undefined
  /** Instruction count at which the run ends. */
  readonly saveAt: number | undefined
  /** Snapshot to continue from. */
  readonly restore: string | undefined
  /** Paravirtual devices, in the order of the options. */
  readonly devices: readonly DeviceConfiguration[]
  /** File that what passes the network is written to. */
  readonly pcap: string | undefined
  /** File that what the guest writes to its virtio console goes to; its other ports' have their names behind a dot. */
  readonly consoleFile: string | undefined
}

export const USAGE = `Usage:
  ringside run IMAGE [options]   boot a kernel; its serial console is standard output and input
  ringside dap [--port N]        serve the Debug Adapter Protocol on standard input and output, or at a port
  ringside --help | --version

Options of run:
  --initrd FILE       initial RAM disk, or the first multiboot module
  --cmdline TEXT      the kernel's command line
  --protocol NAME     boot protocol, if the image does not tell: ${PROTOCOLS.join(', ')}
  --memory SIZE       RAM, for example 256M (default) or 1G
  --cpu MODEL         ${MODEL_NAMES.join(', ')} (default ${DEFAULT_MODEL}), then +FEATURE or -FEATURE: v3,-avx2,+la57
  --cpus N            processors, 1 (default) to ${MAXIMUM_CPUS}
  --timeout SECONDS   give up after this much wall time
  --until TEXT        end with status 0 once the console has shown TEXT
  --stats FILE        write instructions, seconds, exits and more as JSON
  --no-reboot         end with status 0 when the guest resets the machine
  --save FILE         save the machine where the run ends
  --save-at COUNT     end the run when COUNT instructions have retired
  --restore FILE      continue from a saved machine; image and options must be the same
  --disk FILE[,OPTIONS]  disk of a raw image file: readonly, interface=virtio (default) or ide, queues=N,
                      backend=thread (default: every run is the same) or worker (a thread of its own)
  --net user[,OPTIONS] network card; without options nothing but the guest's own network, 10.0.2.0/24
  --net tap=DEVICE    network card at a macvtap interface of the host: /dev/tapN
  --pcap FILE         write what passes the network as pcapng
  --share DIR[,OPTIONS]  a folder for the guest, by 9P: writable, tag=NAME (default share); in the guest:
                      mount -t 9p -o trans=virtio,version=9p2000.L share /mnt
  --console FILE[,OPTIONS]  a second console, hvc0, written to FILE; port=NAME: a further channel, to FILE.NAME
  --balloon[=OPTIONS] balloon that the guest's memory can go to; size=64M: from the beginning
  --rng[=OPTIONS]     entropy device, the same bytes in every run

Options of a virtio device, after its own, separated by commas:
  transport=pci       or pci-transitional, pci-legacy (before virtio 1.0), mmio
  packed=on           offer packed rings
  event-index=off     do not offer VIRTIO_F_EVENT_IDX, so that driver and device notify each other more often

Options of --net user, after it, separated by commas:
  forward=tcp:2222:22 port 2222 of the host's loopback leads to port 22 of the guest; also udp, and several times
  allow=tcp:8080      the guest reaches port 8080 of the host's loopback at 10.0.2.2; also udp, and several times
  host=on             every port of the host's loopback, at 10.0.2.2
  outside=on          other addresses and names, but for those of the host
  mac=ADDRESS         of the card

Option of dap:
  --port N            listen at 127.0.0.1:N, one debug session a connection; 0 for any port that is free

Exit status: 0 power-off, --until met, or all processors halted for good; (v << 1) | 1 debug exit with value v;
64 wrong usage; 65 unbootable image or unusable snapshot; 66 unreadable file; 70 a fault of Ringside;
124 timeout; 126 triple fault.
On a terminal, Ctrl-A X quits and Ctrl-A Ctrl-A sends Ctrl-A.
`

/** Throws {@link UsageError} or `ConfigurationError`. */
export function parseRunArguments(args: readonly string[]): RunArguments {
  const { values, positionals, tokens } = parse(args)
  if (positionals.length !== 1)
    throw new UsageError(positionals.length === 0 ? 'run: which image?' : `run: one image, not ${positionals.length}`)
  const optional = <T>(text: string | undefined, read: (text: string) => T) =>
    text === undefined ? undefined : read(text)
  const saveAt = optional(values['save-at'], text => parseCount(text, '--save-at', 1, Number.MAX_SAFE_INTEGER))
  if (saveAt !== undefined && values.save === undefined)
    throw new UsageError('run: --save-at tells when, and needs --save FILE to tell where to')
  return {
    image: positionals[0],
    initrd: values.initrd,
    cmdline: values.cmdline,
    protocol: values.protocol,
    memory: optional(values.memory, text => parseSize(text, '--memory')),
    cpu: values.cpu,
    cpus: optional(values.cpus, text => parseCount(text, '--cpus', 1, MAXIMUM_CPUS)),
    timeout: optional(values.timeout, parseSeconds),
    until: optional(values.until, checkUntil),
    stats: values.stats,
    reboot: !values['no-reboot'],
    save: values.save,
    saveAt,
    restore: values.restore,
    devices: deviceConfigurations(tokens),
    pcap: values.pcap,
    consoleFile: consoleFile(values.console),
  }
}

/** Options of devices, and how each is read. */
const DEVICE_OPTIONS: Readonly<Record<string, (text: string) => DeviceConfiguration | undefined>> = {
  disk: text => parseDisk(text),
  net: text => parseNet(text),
  rng: text => parseEntropy(text),
  share: text => parseShare(text),
  balloon: text => parseBalloon(text),
  // The file comes first.
  console: text => parseConsole(text.replace(/^[^,]*,?/, '')),
}
/** A value, if there is one, follows these after "=". */
const VALUE_OPTIONAL = ['--rng', '--balloon']

/** In the order in which they stand, which is the order of the devices in the machine. */
function deviceConfigurations(tokens: ReturnType<typeof parse>['tokens']): DeviceConfiguration[] {
  return tokens.flatMap(token => {
    if (token.kind !== 'option') return []
    const read = DEVICE_OPTIONS[token.name]
    const device = read?.(token.value ?? '')
    return device === undefined ? [] : [device]
  })
}

/** Throws {@link UsageError} or `ConfigurationError`. */
export function parseDapArguments(args: readonly string[]): { readonly port: number | undefined } {
  try {
    const { values } = parseArgs({ args: [...args], options: { port: { type: 'string' } } })
    return { port: values.port === undefined ? undefined : parseCount(values.port, '--port', 0, 65_535) }
  } catch (error) {
    if (error instanceof ConfigurationError) throw error
    throw new UsageError(`dap: ${error instanceof Error ? error.message : error}`)
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: args.map(argument => (VALUE_OPTIONAL.includes(argument) ? `${argument}=` : argument)),
      allowPositionals: true,
      tokens: true,
      options: {
        initrd: { type: 'string' },
        cmdline: { type: 'string' },
        protocol: { type: 'string' },
        memory: { type: 'string' },
        cpu: { type: 'string' },
        cpus: { type: 'string' },
        timeout: { type: 'string' },
        until: { type: 'string' },
        stats: { type: 'string' },
        'no-reboot': { type: 'boolean', default: false },
        save: { type: 'string' },
        'save-at': { type: 'string' },
        restore: { type: 'string' },
        disk: { type: 'string', multiple: true },
        net: { type: 'string', multiple: true },
        pcap: { type: 'string' },
        rng: { type: 'string', multiple: true },
        share: { type: 'string', multiple: true },
        balloon: { type: 'string', multiple: true },
        console: { type: 'string' },
      },
    })
  } catch (error) {
    throw new UsageError(`run: ${error instanceof Error ? error.message : error}`)
  }
}

function consoleFile(text: string | undefined): string | undefined {
  const file = text?.split(',')[0]
  if (file === '') throw new UsageError('--console: which file? Write --console FILE, then options such as ,port=NAME')
  return file
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (text.trim() === '' || !Number.isFinite(seconds) || seconds <= 0)
    throw new UsageError(`--timeout "${text}" is not a number of seconds`)
  return seconds
}

function checkUntil(text: string): string {
  if (text === '') throw new UsageError('--until needs a text that is not empty')
  return text
}
