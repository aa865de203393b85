/** What the picture of a ring says, as tables: hands and fields, descriptors, a chain, completed chains. */

import { type ComponentChildren, Fragment } from 'preact'
import type { Field, HandModel, History, Phase, Picture, Selected } from './rings-model.ts'
import { STATE_WORDS } from './slot-words.ts'

export interface Actions {
  openMemory(memory: string): void
  selectDescriptor(index: number): void
}

export function MemoryLink({ memory, open }: { memory: string; open(memory: string): void }) {
  return (
    <button type="button" class="link" title="Show this memory" onClick={() => open(memory)}>
      {memory}
    </button>
  )
}

export function HandTable({ hands }: { hands: readonly HandModel[] }) {
  return (
    <Table id="hands" caption="Indexes" head={['', 'index', 'value', 'slot', '', '']}>
      {hands.map(({ sign, name, value, slot, turn, side, meaning }) => (
        <tr key={name}>
          <td>
            <span class={`sign ${side}`}>{sign}</span>
          </td>
          <th scope="row">{name}</th>
          <td class="number">{value}</td>
          <td class="number">{slot}</td>
          <td>{turn}</td>
          <td class="faint">{meaning}</td>
        </tr>
      ))}
    </Table>
  )
}

export function FieldTable({ fields }: { fields: readonly Field[] }) {
  return (
    <Table id="fields" caption="Notifications" head={['field', 'value', 'meaning']}>
      {fields.map(({ name, value, meaning }) => (
        <tr key={name}>
          <th scope="row">{name}</th>
          <td class="number">{value}</td>
          <td class="faint">{meaning}</td>
        </tr>
      ))}
    </Table>
  )
}

export function DescriptorTable({ picture, actions }: { picture: Picture; actions: Actions }) {
  const { descriptors, packed, window } = picture
  if (descriptors.length === 0)
    return (
      <p class="faint">
        Choose a part of the ring to see its descriptors: {window.count.toLocaleString('en-US')} are too many.
      </p>
    )
  const head = ['', 'state', 'chain', 'address', 'bytes', 'flags', packed ? 'id' : 'next']
  return (
    <Table id="descriptors" caption={packed ? 'Descriptor ring' : 'Descriptor table'} head={head}>
      {descriptors.map(({ index, state, chain, address, length, flags, link, faulty, selected }) => (
        <tr key={index} class={`${selected ? 'selected' : ''}${faulty ? ' faulty' : ''}`}>
          <th scope="row">
            <button
              type="button"
              class="link"
              title={state === 'free' ? 'Free' : 'Show its chain'}
              aria-pressed={selected}
              onClick={() => actions.selectDescriptor(index)}
            >
              {index}
            </button>
          </th>
          <td class={`state ${state}`}>{faulty ? 'broken' : STATE_WORDS[state].name}</td>
          <td>{chain}</td>
          <td>{address === '0x0' ? address : <MemoryLink memory={`phys:${address}`} open={actions.openMemory} />}</td>
          <td class="number">{length}</td>
          <td>{flags}</td>
          <td>{link}</td>
        </tr>
      ))}
    </Table>
  )
}

export function ChainDetails({ selected, actions }: { selected: Selected; actions: Actions }) {
  const { title, summary, problem, descriptors, omitted, fields } = selected
  return (
    <section id="chain" aria-label="The slot that is chosen" aria-live="polite">
      <h2>{title}</h2>
      {summary === undefined ? undefined : <p>{summary}</p>}
      {problem === undefined ? undefined : <p class="fault">{problem}</p>}
      {descriptors.length === 0 ? undefined : (
        <Table id="buffers" caption="Descriptors of the chain" head={['', 'address', 'bytes', 'flags', '']}>
          {descriptors.map(({ name, memory, length, flags, link, content, ...rest }) => (
            <Fragment key={name}>
              <tr class={rest.problem === undefined ? '' : 'faulty'}>
                <th scope="row">{name}</th>
                <td>
                  <MemoryLink memory={memory} open={actions.openMemory} />
                </td>
                <td class="number">{length}</td>
                <td>{flags}</td>
                <td>{link}</td>
              </tr>
              <tr class="content">
                <td />
                <td colSpan={4}>
                  {content.map(line => (
                    <div key={line}>{line}</div>
                  ))}
                  {rest.problem === undefined ? undefined : <div class="fault">{rest.problem}</div>}
                </td>
              </tr>
            </Fragment>
          ))}
        </Table>
      )}
      {omitted === 0 ? undefined : <p class="faint">{omitted.toLocaleString('en-US')} more are not shown.</p>}
      {fields.length === 0 ? undefined : (
        <dl>
          {fields.map(({ name, value }) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
    </section>
  )
}

const STEPS = ['posted', 'kicked', 'taken', 'used', 'interrupt'] as const
const BAR = { width: 100, height: 10 }

/** The bars compare; the numbers beside them are the same in figures. */
export function HistoryTable({ history: { rows, longest } }: { history: History }) {
  if (rows.length === 0) return null
  return (
    <Table
      id="completed"
      caption="Instructions from step to step"
      head={['', 'latency', 'request', 'chain', 'written', ...STEPS]}
    >
      {rows.map(({ number, chain, summary, written, total, phases }) => (
        <tr key={number}>
          <th scope="row">{number}</th>
          <td>
            <Bar phases={phases} total={total} longest={longest} />
          </td>
          <td>{summary}</td>
          <td>{chain}</td>
          <td class="number">{written}</td>
          {STEPS.map(step => {
            const phase = phases.find(each => each.step === step)
            return (
              <td key={step} class="number" title={phase && `${step} at ${phase.instructions} instructions`}>
                {phase?.text ?? '–'}
              </td>
            )
          })}
        </tr>
      ))}
    </Table>
  )
}

function Bar({ phases, total, longest }: { phases: readonly Phase[]; total: number; longest: number }) {
  let x = 0
  return (
    <svg
      class="bar"
      viewBox={`0 0 ${BAR.width} ${BAR.height}`}
      role="img"
      aria-label={`${total.toLocaleString('en-US')} instructions in all`}
    >
      <title>{`${total.toLocaleString('en-US')} instructions in all`}</title>
      {phases.map(({ step, after }) => {
        const width = longest === 0 ? 0 : (after / longest) * BAR.width
        x += width
        return <rect key={step} class={step} x={x - width} y="0" width={width} height={BAR.height} />
      })}
      <path d={`M0 ${BAR.height - 0.5}H${BAR.width}`} />
    </svg>
  )
}

/** Columns of figures. */
const NUMBERS: ReadonlySet<string> = new Set(['bytes', 'value', 'slot', 'written', ...STEPS])

function Table(props: { id: string; caption: string; head: readonly string[]; children: ComponentChildren }) {
  const { id, caption, head, children } = props
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what is wider than the view is scrolled by keys
    <section class="wide" tabIndex={0} aria-label={caption}>
      <table id={id}>
        <caption>{caption}</caption>
        <thead>
          <tr>
            {head.map((name, index) => (
              <th key={`${index} ${name}`} scope="col" class={NUMBERS.has(name) ? 'number' : ''}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  )
}
