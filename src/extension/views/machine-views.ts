/** The tree views of the machine: which requests each makes, and which model turns the answers into nodes. */

import type { DescriptorTableBody } from '../../protocol/custom-requests.ts'
import {
  DESCRIPTOR_TABLE,
  EPT_MAPPINGS,
  EXITS,
  type ExitsBody,
  INTERRUPT_CONTROLLERS,
  type InterruptControllersBody,
  MAPPINGS,
  type MappingsBody,
  TIMELINE,
  type TimelineBody,
} from '../../protocol/custom-requests.ts'
import { PCI, type PciBody, VIRTQUEUES, type VirtqueuesBody } from '../../protocol/device-requests.ts'
import { PACKETS, type PacketsBody } from '../../protocol/network-requests.ts'
import { PROCESSORS, type ProcessorsBody } from '../../protocol/processor-requests.ts'
import type { ViewStops } from '../view-stops.ts'
import { pciNodes, virtqueueNodes } from './devices-model.ts'
import { ExitRates } from './exit-rates.ts'
import { exitNodes } from './exits-model.ts'
import { memoryMapNodes } from './memory-map-model.ts'
import { networkNodes } from './network-model.ts'
import { processorNodes } from './processor-model.ts'
import { stopKeys, stopNodes } from './stops-model.ts'
import { type Tables, tableNodes } from './tables-model.ts'
import { timelineNodes } from './timeline-model.ts'
import type { Ask, ViewDefinition } from './tree-view.ts'

/** Ranges and exits that a view has room for. */
const MOST_RANGES = 1000
const MOST_EXITS = 200
/** Of the rate of exits over time, a character each. */
const RATE_SPANS = 24

export function machineViews(stops: ViewStops): ViewDefinition[] {
  const rates = new ExitRates()
  return [
    { id: 'ringside.processor', load: async ask => processorNodes(await ask<ProcessorsBody>(PROCESSORS)) },
    {
      id: 'ringside.exits',
      stops: true,
      load: async (ask, session) => {
        const body = await ask<ExitsBody>(EXITS, { recent: MOST_EXITS, addresses: 20, spans: RATE_SPANS })
        return exitNodes(body, stopKeys(stops.of(session)), rates.since(session.id, body))
      },
    },
    {
      id: 'ringside.stops',
      ...{ stops: true, live: true },
      empty: 'No view has set a stop: entries of Address Translation, gates of Tables and reasons of Exits can.',
      load: async (_ask, session) => stopNodes(stops.of(session)),
    },
    { id: 'ringside.memoryMap', load: loadMemoryMap },
    {
      id: 'ringside.tables',
      stops: true,
      load: async (ask, session) => tableNodes(await loadTables(ask), stopKeys(stops.of(session))),
    },
    {
      id: 'ringside.virtqueues',
      empty: 'This machine has no virtio device.',
      load: loadVirtqueues,
    },
    { id: 'ringside.pci', load: async ask => pciNodes(await ask<PciBody>(PCI)) },
    {
      id: 'ringside.timeline',
      empty: 'The guest has told of no event: it does so by a hypercall (guests/include/ringside.h).',
      load: async ask => timelineNodes(await ask<TimelineBody>(TIMELINE, { recent: MOST_EXITS })),
    },
  ]
}

async function loadVirtqueues(ask: Ask) {
  const [queues, network] = await Promise.all([ask<VirtqueuesBody>(VIRTQUEUES), ask<PacketsBody>(PACKETS)])
  return [...virtqueueNodes(queues), ...networkNodes(network)]
}

async function loadMemoryMap(ask: Ask) {
  const limit = { limit: MOST_RANGES }
  const [guest, ept] = await Promise.all([
    ask<MappingsBody>(MAPPINGS, limit),
    // A target without EPT refuses; its guest's own tables are to be seen all the same.
    Promise.resolve(ask<MappingsBody>(EPT_MAPPINGS, limit)).catch(() => undefined),
  ])
  return memoryMapNodes({ guest, ept })
}

async function loadTables(ask: Ask): Promise<Tables> {
  const table = (name: string) => ask<DescriptorTableBody>(DESCRIPTOR_TABLE, { table: name })
  const [gdt, ldt, idt, tss, controllers] = await Promise.all([
    table('gdt'),
    table('ldt'),
    table('idt'),
    table('tss'),
    ask<InterruptControllersBody>(INTERRUPT_CONTROLLERS),
  ])
  return { gdt, ldt, idt, tss, controllers }
}
