/** Commands about devices: virtqueues, chain, trace, pci, devices, balloon. */

import { placedDevices } from '../../inspect/devices.ts'
import { type InterruptRoute, interruptRoutes } from '../../inspect/interrupt-routes.ts'
import type { MachineView } from '../../inspect/machine-view.ts'
import { type PciFunctionModel, pciFunctions } from '../../inspect/pci/pci-functions.ts'
import type { DescriptorModel } from '../../inspect/virtio/descriptor-model.ts'
import type {
  ChainModel,
  CompletedChainModel,
  VirtioDeviceModel,
  VirtqueueModel,
} from '../../inspect/virtio/virtqueues.ts'
import { hex } from '../../protocol/address.ts'
import { MOST_CHAINS } from '../../protocol/device-requests.ts'
import { RequestError } from '../request.ts'
import { resizeBalloon } from '../requests/balloon.ts'
import { virtioName, virtqueuesOf } from '../requests/devices.ts'
import { columns, sizeText } from './columns.ts'
import type { Command, CommandCall } from './command.ts'
import { registersText } from './register-text.ts'

/** Of each queue, in a list of all. */
const FEW_CHAINS = 4
const MANY_CHAINS = 32
const MOST_QUEUES = 65_535
const NO_CHAINS = { chains: { start: 0, count: 0 }, history: 0 }

const virtioNames = ({ virtio }: MachineView): string[] => virtio.map(({ core }) => core.device.name)

const virtqueuesCommand: Command = {
  name: 'virtqueues',
  usage: '[DEVICE [QUEUE]]',
  summary: 'virtio queues: indexes, what is pending, and the chains that were completed, step by step',
  details: 'Rings are read from guest memory as they are there. "chain" shows the descriptors of one.',
  words: (machine, index) => (index === 0 ? virtioNames(machine) : []),
  run(call) {
    const [device, queue] = call.words
    const only = device === undefined ? undefined : virtioName(call.machine, device)
    const count = queue === undefined ? FEW_CHAINS : MANY_CHAINS
    const devices = virtqueuesOf(call.session, {
      ...(only === undefined ? {} : { device: only }),
      ...(queue === undefined ? {} : { queue: queueNumber(call, queue) }),
      ...{ chains: { start: 0, count }, history: count },
    })
    return devices.length === 0 ? 'the machine has no virtio devices' : devices.map(deviceText).join('\n')
  },
}

function deviceText({ name, place, status, features, broken, queues }: VirtioDeviceModel): string {
  return [
    `${name}, ${place}: ${status}${broken === undefined ? '' : `; needs a reset: ${broken}`}`,
    `  features: ${features.join(' ') || 'none yet'}`,
    ...queues.map(queueText),
  ].join('\n')
}

function queueText(queue: VirtqueueModel): string {
  const { index, name, enabled, size, maximumSize, areas, format, fields, pending, problems } = queue
  if (!enabled) return `  queue ${index} ${name}: not set up; at most ${maximumSize} entries`
  const places = areas.map(area => `${area.name} phys:${hex(area.address)}`).join(', ')
  const more = pending > queue.chains.length ? [`    and ${pending - queue.chains.length} more pending`] : []
  return [
    `  queue ${index} ${name}: ${format}, ${size} entries; ${places}`,
    columns(
      fields.map(field => [field.name, String(field.value), field.meaning]),
      '    ',
    ),
    ...problems.map(problem => `    BROKEN: ${problem}`),
    ...queue.taken.map(chain => `    taken    ${chainLine(chain)}`),
    ...queue.chains.map(chain => `    pending  ${chainLine(chain)}`),
    ...more,
    ...queue.used
      .slice(-1)
      .map(({ index, id, length }) => `    last used entry ${index}: chain ${id}, ${length} bytes`),
    ...queue.history.map(chain => `    done     ${completedLine(chain)}`),
  ].join('\n')
}

const chainLine = ({ head, id, summary, descriptors, omitted, problem }: ChainModel): string =>
  `chain ${head ?? id}: ${problem === undefined ? summary : `BROKEN: ${problem}`} (${descriptors.length + omitted} descriptors)`

function completedLine({ number, id, summary, written, fields, steps }: CompletedChainModel): string {
  const status = fields.find(({ name }) => name === 'status')
  const way = steps.map(({ step, instructions, after, nanoseconds }) => {
    const time = nanoseconds === undefined ? '' : `, ${nanoseconds} ns`
    return `${step} ${instructions}${after === undefined ? '' : ` (+${after}${time})`}`
  })
  return `#${number} chain ${id}: ${summary}, ${written} bytes written${status === undefined ? '' : `, status ${status.value}`}; ${way.join(', ')}`
}

const chainCommand: Command = {
  name: 'chain',
  usage: 'DEVICE QUEUE HEAD',
  summary: 'a chain that is pending or taken: its descriptors with their buffers, decoded',
  words: (machine, index) => (index === 0 ? virtioNames(machine) : []),
  run(call) {
    const [device, queue, head] = call.words
    if (device === undefined || queue === undefined || head === undefined) throw call.wrongUsage()
    const wanted = call.count(head, MOST_QUEUES)
    const look = { device: virtioName(call.machine, device), queue: queueNumber(call, queue), history: 0 }
    for (let start = 0; ; start += MOST_CHAINS) {
      const found = virtqueuesOf(call.session, { ...look, chains: { start, count: MOST_CHAINS } })[0].queues[0]
      if (found === undefined) throw new RequestError(`${device} has no queue ${queue}`)
      const chain = [...found.taken, ...found.chains].find(each => (each.head ?? each.id) === wanted)
      if (chain !== undefined) return chainText(chain)
      if (Math.max(found.taken.length, found.chains.length) < MOST_CHAINS)
        throw new RequestError(`${device}, queue ${queue}: no chain ${wanted} is pending or taken; say "virtqueues"`)
    }
  },
}

function chainText({ head, id, summary, descriptors, omitted, problem }: ChainModel): string {
  return [
    `chain ${head ?? id}: ${summary}`,
    ...(problem === undefined ? [] : [`BROKEN: ${problem}`]),
    columns(descriptors.map(descriptorRow), '  '),
    ...(omitted === 0 ? [] : [`  and ${omitted} more descriptors`]),
  ].join('\n')
}

const DIRECTIONS = { read: 'device reads', write: 'device writes', table: 'more descriptors' }

function descriptorRow(descriptor: DescriptorModel): string[] {
  const { index, table, address, length, flagNames, direction, next, parts, problem } = descriptor
  return [
    table === undefined ? `[${index}]` : `[${table}] entry ${index}`,
    `phys:${hex(address)}`,
    `${length} bytes`,
    flagNames.join(' '),
    next === undefined ? '' : `next ${next}`,
    DIRECTIONS[direction],
    problem === undefined ? partsText(parts) : `BROKEN: ${problem}`,
  ]
}

const partsText = (parts: DescriptorModel['parts']): string =>
  parts
    .map(({ name, fields }) => {
      const said = fields.map(field => (field.name === name ? field.value : `${field.name} ${field.value}`)).join(', ')
      return said === '' ? name : `${name}: ${said}`
    })
    .join('; ')

const traceCommand: Command = {
  name: 'trace',
  usage: 'DEVICE QUEUE on|off',
  summary: 'notes when the driver posts the chains of a virtqueue, which no device is told of',
  words: (machine, index) => (index === 0 ? virtioNames(machine) : index === 2 ? ['on', 'off'] : []),
  run(call) {
    const [device, queue, choice] = call.words
    if (device === undefined || queue === undefined || (choice !== 'on' && choice !== 'off')) throw call.wrongUsage()
    const number = queueNumber(call, queue)
    call.session.debugger.traceVirtqueue(virtioName(call.machine, device), number, choice === 'on')
    if (choice === 'off') return `${device}, queue ${number}: no longer`
    const { queues } = virtqueuesOf(call.session, { device, queue: number, ...NO_CHAINS })[0]
    const from = queues[0]?.enabled ? 'from now on' : 'as soon as its driver has set it up'
    return `${device}, queue ${number} is traced ${from}`
  },
}

const queueNumber = (call: CommandCall, text: string): number => call.count(text, MOST_QUEUES)

const pciCommand: Command = {
  name: 'pci',
  usage: '[FUNCTION]',
  summary: 'PCI functions, or one with its configuration space decoded: pci 00:03.0, pci virtio-blk0',
  words: machine => pciFunctions(machine).flatMap(({ place, name }) => [place, name]),
  run(call) {
    const functions = pciFunctions(call.machine)
    const [wanted] = call.words
    if (wanted === undefined)
      return columns(
        functions.map(({ place, name, vendor, device, classCode }) => [
          ...[place, `${id(vendor.id)}:${id(device.id)}`, name, classCode.name ?? '', device.name ?? ''],
        ]),
      )
    const found = functions.find(({ place, name }) => place === wanted || name === wanted)
    if (found === undefined) throw new RequestError(`there is no PCI function "${wanted}"; say "pci" for all`)
    return functionText(found)
  },
}

const id = (value: number): string => value.toString(16).padStart(4, '0')

function functionText(model: PciFunctionModel): string {
  const { place, name, vendor, device, classCode, revision, command, status, windows, capabilities, msix } = model
  const rows = windows.map(({ bar, kind, prefetchable, address, size, mapped }) => [
    `BAR ${bar}`,
    `${kind === 'memory64' ? 'memory, 64-bit' : kind}${prefetchable ? ', prefetchable' : ''}`,
    `${kind === 'io' ? 'port ' : 'phys:'}${hex(address)}`,
    `${size} bytes`,
    mapped ? '' : 'not decoded',
  ])
  const entries = (msix?.entries ?? []).map(({ index, address, data, masked, pending, causes, message }) => [
    `MSI-X ${index}`,
    `address ${hex(address)}, data 0x${data.toString(16)}`,
    message === undefined ? '' : messageText(message),
    [masked ? 'masked' : '', pending ? 'pending' : ''].filter(text => text !== '').join(', '),
    causes.join(', '),
  ])
  return [
    `${place} ${name}: ${id(vendor.id)}:${id(device.id)}, ${vendor.name ?? 'unknown vendor'} ${device.name ?? 'device'}`,
    `  class ${hex(BigInt(classCode.id))} (${classCode.name}), revision ${revision}`,
    `  command: ${command.join(', ') || 'nothing'}; status: ${status.join(', ') || 'nothing'}`,
    `  interrupt pin ${model.interruptPin ?? 'none'}, line ${model.interruptLine}`,
    columns(rows, '  '),
    columns(
      capabilities.map(({ offset, name, fields }) => [
        `[${offset.toString(16)}]`,
        name,
        fields.map(field => `${field.name} ${field.value}`).join(', '),
      ]),
      '  ',
    ),
    columns(entries, '  '),
  ]
    .filter(text => text !== '')
    .join('\n')
}

const messageText = ({
  vector,
  mode,
  destination,
  logical,
}: NonNullable<InterruptRoute['message']> | Omit<NonNullable<InterruptRoute['message']>, 'masked'>): string =>
  `vector 0x${vector.toString(16)}, ${mode}, to ${logical ? 'logical' : 'APIC'} ${destination}`

const devicesCommand: Command = {
  name: 'devices',
  usage: '[NAME]',
  summary: 'the devices with the ways of their interrupts, or the registers of one: devices ioapic, devices pic',
  words: machine => placedDevices(machine).map(({ device }) => device.name),
  run(call) {
    const all = placedDevices(call.machine)
    const routes = interruptRoutes(call.machine)
    const [name] = call.words
    if (name === undefined)
      return columns(
        all.map(({ device, place }) => [
          device.name,
          place ?? '',
          routes
            .filter(route => route.device === device.name)
            .map(shortRoute)
            .join(', '),
        ]),
      )
    const found = all.find(({ device }) => device.name === name)
    if (found === undefined) throw new RequestError(`there is no device "${name}"; say "devices" for their names`)
    return [
      ...(found.place === undefined ? [] : [found.place]),
      ...routes.filter(route => route.device === name).map(routeText),
      registersText(found.device.registers()),
    ]
      .filter(text => text !== '')
      .join('\n')
  },
}

const shortRoute = ({ source, pirq, irq, message }: InterruptRoute): string => {
  if (message !== undefined) return `${source} -> vector 0x${message.vector.toString(16)}`
  return pirq === undefined ? source : `${source} -> ${irq === undefined ? 'nowhere' : `IRQ ${irq}`}`
}

/** `INTA -> PIRQ C -> IRQ 11 -> I/O APIC input 11: masked; 8259: vector 0x73, masked`. */
function routeText({ source, causes, pirq, irq, ioApic, pic, message }: InterruptRoute): string {
  const masked = (is: boolean): string => (is ? ', masked' : '')
  const what = causes.length === 0 ? source : `${source} (${causes.join(', ')})`
  if (message !== undefined) return `${what} -> ${messageText(message)}${masked(message.masked)}`
  const way = [what, pirq, irq === undefined ? undefined : `IRQ ${irq}`].filter(
    (step, i, all) => step !== undefined && step !== all[i - 1] && !(step === source && i > 0),
  )
  const ends = [
    ioApic === undefined
      ? undefined
      : `I/O APIC input ${ioApic.input}: ${ioApic.masked ? 'masked' : messageText(ioApic)}`,
    pic === undefined ? undefined : `8259: vector 0x${pic.vector.toString(16)}${masked(pic.masked)}`,
  ].filter(end => end !== undefined)
  return `${way.join(' -> ')}${ends.length === 0 ? '' : ` -> ${ends.join('; ')}`}`
}

const balloonCommand: Command = {
  name: 'balloon',
  usage: '[SIZE]',
  summary: 'memory that the guest has given away, or is to give away in all: balloon 64M',
  run(call) {
    if (call.words.length > 1) throw call.wrongUsage()
    const [text] = call.words
    const { size, target } = resizeBalloon(call.session, text === undefined ? undefined : bytesOf(call, text))
    return `${sizeText(size)} in the balloon${size === target ? '' : `, ${sizeText(target)} asked for`}`
  },
}

/** A number of bytes, with K, M or G behind it or without. */
function bytesOf(call: CommandCall, text: string): number {
  const match = /^([0-9]{1,9})([KMG]?)$/i.exec(text)
  if (match === null) throw call.wrongUsage()
  return Number(match[1]) * ({ K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[match[2].toUpperCase()] ?? 1)
}

export const deviceCommands: readonly Command[] = [
  virtqueuesCommand,
  chainCommand,
  traceCommand,
  pciCommand,
  devicesCommand,
  balloonCommand,
]
