/** A QEMU command line as a launch configuration: what of it has a counterpart here, and what has none. */

import { DEBUG_TYPE } from './debug-type.ts'
import type { Configuration } from './launch-configuration.ts'

export interface ImportedCommandLine {
  readonly configuration: Configuration
  /** Options that were left out, each with why. */
  readonly notes: readonly string[]
}

/** A command line that nothing can be made of; the message says why. */
export class CommandLineError extends Error {}

/** Options that say nothing about the guest, by the number of words behind them. */
const WITHOUT_MEANING: Readonly<Record<string, 0 | 1>> = {
  nographic: 0,
  'no-reboot': 0,
  'no-shutdown': 0,
  'enable-kvm': 0,
  nodefaults: 0,
  accel: 1,
  display: 1,
  monitor: 1,
  name: 1,
  serial: 1,
  vga: 1,
  s: 0,
  gdb: 1,
}
/** Options that mean something and that nothing here answers to, with a word behind them. */
const UNKNOWN_WITHOUT_WORD = ['usb', 'daemonize', 'snapshot', 'full-screen', 'only-migratable', 'no-acpi', 'no-hpet']
const LONGEST = 65_536

/** Throws {@link CommandLineError}. */
export function importCommandLine(text: string): ImportedCommandLine {
  if (text.length > LONGEST) throw new CommandLineError(`a command line of ${text.length} characters is too long`)
  const words = splitWords(text)
  const reader = new Importer(words)
  return reader.import()
}

/** Words as a POSIX shell splits them; nothing is expanded, and a backslash at the end of a line joins it to the next. */
export function splitWords(text: string): string[] {
  const words: string[] = []
  let word: string | undefined
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === "'" || character === '"') {
      const { content, end } = quoted(text, at)
      word = (word ?? '') + content
      at = end
    } else if (character === '\\') {
      at++
      if (text[at] === '\r' && text[at + 1] === '\n') at++
      else if (text[at] !== '\n') word = (word ?? '') + (text[at] ?? '')
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? '') + character
  }
  if (word !== undefined) words.push(word)
  return words
}

/** Of the quotation that begins at `start`: what it says, and where its last quote is. */
function quoted(text: string, start: number): { content: string; end: number } {
  const quote = text[start]
  let content = ''
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === quote) return { content, end: at }
    // Within double quotes a backslash takes the meaning of these only (POSIX.1, shell 2.2.3).
    if (quote === '"' && text[at] === '\\' && '"\\$`\n'.includes(text[at + 1] ?? ' ')) {
      at++
      if (text[at] !== '\n') content += text[at]
    } else content += text[at]
  }
  throw new CommandLineError(`a ${quote} is opened and not closed: ${text.slice(start, start + 40)}`)
}

class Importer {
  readonly #words: readonly string[]
  readonly #notes: string[] = []
  readonly #fields: Record<string, unknown> = {}
  readonly #disks: string[] = []
  /** `-netdev user`, until a device takes it: options as `net` has them. */
  readonly #networks = new Map<string, string>()
  #at = 0

  constructor(words: readonly string[]) {
    this.#words = words
  }

  import(): ImportedCommandLine {
    // The program itself, and what may stand before it, such as `sudo` or a variable.
    const first = this.#words.findIndex(word => word.startsWith('-'))
    if (first < 0)
      throw new CommandLineError('this has no options: give a command such as qemu-system-x86_64 -kernel ...')
    const program = this.#words.slice(0, first).find(word => /qemu-system/.test(word))
    if (program !== undefined && !/qemu-system-(x86_64|i386)/.test(program))
      throw new CommandLineError(`${program}: guests here are x86 ones`)
    for (this.#at = first; this.#at < this.#words.length; ) this.#option(this.#words[this.#at++])
    if (this.#fields.program === undefined)
      throw new CommandLineError(
        this.#disks.length > 0
          ? 'there is no -kernel: no firmware runs here that would boot a disk; name the kernel that lies on it'
          : 'there is no -kernel',
      )
    const [only] = this.#networks.values()
    if (only !== undefined) this.#fields.net = only
    if (this.#networks.size > 1) this.#notes.push('of several networks the first was taken: a machine has one here')
    const name = String(this.#fields.program).split('/').at(-1)
    return {
      configuration: {
        ...{ type: DEBUG_TYPE, request: 'launch', name: `Ringside: ${name}`, ...this.#fields },
        ...(this.#disks.length === 0 ? {} : { disks: this.#disks }),
      },
      notes: this.#notes,
    }
  }

  #option(word: string): void {
    const option = word.replace(/^--?/, '')
    if (!word.startsWith('-')) {
      this.#disk(word, {})
      return
    }
    switch (option) {
      case 'kernel':
        this.#fields.program = this.#value(word)
        return
      case 'initrd':
        this.#fields.initrd = this.#initrd(this.#value(word))
        return
      case 'append':
        this.#fields.cmdline = this.#value(word)
        return
      case 'm':
        this.#memory(this.#value(word))
        return
      case 'smp':
        this.#processors(this.#value(word))
        return
      case 'cpu':
        this.#cpu(this.#value(word))
        return
      case 'S':
        this.#fields.stopOnEntry = true
        return
      case 'hda':
      case 'hdb':
      case 'hdc':
      case 'hdd':
        this.#disk(this.#value(word), { if: 'ide' })
        return
      case 'drive':
        this.#drive(this.#value(word))
        return
      case 'netdev':
        this.#netdev(this.#value(word), word)
        return
      case 'nic':
        this.#netdev(this.#value(word), word)
        return
      case 'device':
        this.#device(this.#value(word))
        return
      case 'machine':
      case 'M':
        this.#machine(this.#value(word))
        return
      default:
        this.#other(word, option)
    }
  }

  #value(option: string): string {
    const value = this.#words[this.#at]
    if (value === undefined) throw new CommandLineError(`${option} has nothing behind it`)
    this.#at++
    return value
  }

  #other(word: string, option: string): void {
    const words = Object.hasOwn(WITHOUT_MEANING, option) ? WITHOUT_MEANING[option] : undefined
    if (words !== undefined) {
      this.#at += words
      return
    }
    // What an unknown option takes is not known: a word without a dash is taken for its value.
    const next = this.#words[this.#at]
    const takes = next !== undefined && !next.startsWith('-') && !UNKNOWN_WITHOUT_WORD.includes(option)
    if (takes) this.#at++
    this.#notes.push(`${word}${takes ? ` ${next}` : ''} has no counterpart`)
  }

  #initrd(value: string): string {
    // QEMU takes several Multiboot modules, each with arguments, between commas.
    const [first, ...more] = value.split(',')
    if (more.length > 0) this.#notes.push(`-initrd ${value}: only the first module was taken`)
    return first
  }

  /** QEMU counts in MiB where no unit stands. */
  #memory(value: string): void {
    const { first, rest } = properties(value, 'size')
    const size = rest.get('size') ?? first
    const match = /^([0-9]{1,15})([kKmMgG]?)$/.exec(size)
    if (match === null) this.#notes.push(`-m ${value}: no size such as 512M`)
    else this.#fields.memory = `${match[1]}${match[2] === '' ? 'M' : match[2].toUpperCase()}`
  }

  #processors(value: string): void {
    const { first, rest } = properties(value, 'cpus')
    const number = (name: string): number => Number(rest.get(name) ?? '1')
    const cpus = Number(rest.get('cpus') ?? first) || number('sockets') * number('cores') * number('threads')
    if (Number.isInteger(cpus) && cpus > 0) this.#fields.cpus = cpus
    else this.#notes.push(`-smp ${value}: no number of processors`)
  }

  #cpu(value: string): void {
    const [model] = value.split(',')
    const ours = CPU_MODELS[model.toLowerCase()]
    if (ours === undefined)
      this.#notes.push(`-cpu ${value}: the processor is one of our own; "cpu" chooses its features`)
    else {
      if (ours !== '') this.#fields.cpu = ours
      if (value !== model) this.#notes.push(`-cpu ${value}: the features behind ${model} were left out`)
    }
  }

  #drive(value: string): void {
    const { rest } = properties(value, 'file')
    const file = rest.get('file')
    if (file === undefined) this.#notes.push(`-drive ${value}: without file=`)
    else if (rest.get('media') === 'cdrom') this.#notes.push(`-drive ${value}: there is no CD-ROM`)
    else if (rest.has('format') && rest.get('format') !== 'raw')
      this.#notes.push(`-drive ${value}: images are raw; convert it with qemu-img convert -O raw`)
    else this.#disk(file, Object.fromEntries(rest))
  }

  /** `if=none` belongs to a `-device`, which is taken for a virtio one. */
  #disk(file: string, options: { readonly [name: string]: string }): void {
    const readOnly = options.readonly === 'on' || options.readonly === '' || options['read-only'] === 'on'
    const ide = options.if === 'ide'
    if (/\.(qcow2?|vmdk|vdi|vhdx?)$/i.test(file))
      this.#notes.push(`${file}: images are raw; convert it with qemu-img convert -O raw`)
    else this.#disks.push(`${file.replaceAll(',', ',,')}${readOnly ? ',readonly' : ''}${ide ? ',interface=ide' : ''}`)
  }

  #netdev(value: string, option: string): void {
    const { first, rest, repeated } = properties(value, 'type')
    if (first === 'none') return
    if (first !== 'user') {
      this.#notes.push(`${option} ${value}: of the back ends there is only user`)
      return
    }
    // As with QEMU the guest reaches other machines; ports of this one's loopback it gets only by `allow` or `host`.
    const parts = ['user', 'outside=on']
    for (const rule of repeated.get('hostfwd') ?? []) {
      const forward = forwarding(rule)
      if (forward === undefined)
        this.#notes.push(`hostfwd=${rule}: not understood; ports of the loopback are forwarded`)
      else parts.push(`forward=${forward}`)
    }
    const mac = rest.get('mac')
    if (mac !== undefined) parts.push(`mac=${mac}`)
    for (const name of rest.keys())
      if (!NETDEV_KNOWN.includes(name)) this.#notes.push(`${option}: ${name}= was left out`)
    this.#networks.set(rest.get('id') ?? `nic${this.#networks.size}`, parts.join(','))
  }

  #device(value: string): void {
    const { first, rest } = properties(value, 'driver')
    if (/^virtio-net/.test(first) || /^e1000|^rtl8139/.test(first)) {
      const id = rest.get('netdev') ?? ''
      const [network, mac] = [this.#networks.get(id), rest.get('mac')]
      if (network !== undefined && mac !== undefined) this.#networks.set(id, `${network},mac=${mac}`)
      if (!first.startsWith('virtio')) this.#notes.push(`-device ${first}: the card is a virtio one`)
    } else if (/^virtio-rng/.test(first)) this.#fields.rng = true
    else if (/^virtio-balloon/.test(first)) this.#fields.balloon = true
    else if (!/^(virtio-blk|ide-hd|scsi-hd|isa-debug-exit)/.test(first))
      this.#notes.push(`-device ${value} has no counterpart`)
  }

  #machine(value: string): void {
    const { first } = properties(value, 'type')
    if (/^(q35|microvm|isapc)/.test(first))
      this.#notes.push(`-machine ${first}: the chipset is a 440FX, as of -machine pc`)
  }
}

/** Ours, for what a name of QEMU's asks for; empty for the default. */
const CPU_MODELS: Readonly<Record<string, string>> = {
  host: '',
  max: 'max',
  qemu64: 'baseline',
  kvm64: 'baseline',
  qemu32: 'baseline',
  nehalem: 'v2',
  westmere: 'v2',
  sandybridge: 'v2',
  haswell: 'v3',
  broadwell: 'v3',
  'skylake-client': 'v3',
  epyc: 'v3',
}
const NETDEV_KNOWN = ['type', 'id', 'hostfwd', 'mac', 'model']

interface Properties {
  /** The first word, where it has no name. */
  readonly first: string
  /** By name; the last one counts. */
  readonly rest: ReadonlyMap<string, string>
  readonly repeated: ReadonlyMap<string, readonly string[]>
}

/** `a,b=c,d` with commas of values written twice. @param implied name of the first word */
function properties(text: string, implied: string): Properties {
  const rest = new Map<string, string>()
  const repeated = new Map<string, string[]>()
  const parts = text
    .replaceAll(',,', '\0')
    .split(',')
    .map(part => part.replaceAll('\0', ','))
  for (const [index, part] of parts.entries()) {
    const equals = part.indexOf('=')
    const name = equals >= 0 ? part.slice(0, equals) : index === 0 ? implied : part
    const value = equals >= 0 ? part.slice(equals + 1) : index === 0 ? part : ''
    rest.set(name, value)
    repeated.set(name, [...(repeated.get(name) ?? []), value])
  }
  return { first: rest.get(implied) ?? '', rest, repeated }
}

/** `tcp:127.0.0.1:2222-:22` as `tcp:2222:22`; undefined when it is neither TCP nor UDP to a port of the guest. */
function forwarding(rule: string): string | undefined {
  const match = /^(tcp|udp)?:([^:]*):([0-9]{1,5})-([^:]*):([0-9]{1,5})$/.exec(rule)
  if (match === null) return undefined
  const [, transport = 'tcp', , host, , guest] = match
  return `${transport}:${host}:${guest}`
}
