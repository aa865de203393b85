/** The page of address translation: asks the extension, and draws what it answers. */

import { type ComponentChildren, createContext, render } from 'preact'
import { useContext, useState } from 'preact/hooks'
import { connectPage, pageRoot } from '../pages/page-api.ts'
import {
  ACCESSES,
  type Access,
  type HostMessage,
  isHostMessage,
  type PageMessage,
  type PageStop,
  parseState,
} from './messages.ts'
import type { Bit, End, Ept, Right, Step, TranslationModel, Watched } from './translation-model.ts'

interface Question {
  readonly expression: string
  readonly access: Access
}

const page = connectPage<PageMessage, HostMessage>(isHostMessage)

function Page() {
  const [question, setQuestion] = useState<Question>(parseState(page.saved()) ?? { expression: '$rip', access: 'read' })
  const [status, setStatus] = useState('')
  const [model, setModel] = useState<TranslationModel>()
  const [stops, setStops] = useState<readonly PageStop[]>([])

  const ask = (wanted: Question): void => {
    setQuestion(wanted)
    if (wanted.expression.trim() === '') return
    page.save(wanted)
    page.send({ type: 'translate', ...wanted, expression: wanted.expression.trim() })
  }
  page.useMessages(message => {
    switch (message.type) {
      case 'ask':
        return ask(message)
      case 'stopped':
        return ask(question)
      case 'running':
        return setStatus('The guest is running.')
      case 'ended':
        setModel(undefined)
        return setStatus('No guest is being debugged.')
      case 'failed':
        setModel(undefined)
        return setStatus(message.message)
      case 'refused':
        return setStatus(message.message)
      case 'stops':
        return setStops(message.stops)
      case 'translated':
        setStatus('')
        return setModel(message.model)
    }
  })

  return (
    <>
      <form
        id="question"
        onSubmit={event => {
          event.preventDefault()
          ask(question)
        }}
      >
        <label for="expression">Address or expression</label>
        <input
          id="expression"
          type="text"
          spellcheck={false}
          autocomplete="off"
          placeholder="0x40010000, $rip, &variable"
          value={question.expression}
          onInput={event => setQuestion({ ...question, expression: event.currentTarget.value })}
        />
        <select
          id="access"
          aria-label="Access"
          value={question.access}
          onChange={event =>
            ask({ ...question, access: ACCESSES.find(known => known === event.currentTarget.value) ?? 'read' })
          }
        >
          {ACCESSES.map(access => (
            <option key={access}>{access}</option>
          ))}
        </select>
        <button type="submit">Translate</button>
      </form>
      <p id="status" role="status" aria-live="polite">
        {status}
      </p>
      {stops.length === 0 ? undefined : <Stops stops={stops} />}
      <main id="walk">
        <StopsSet.Provider value={new Set(stops.map(({ memory, length }) => keyOf(memory, length)))}>
          {model === undefined ? undefined : <Walk model={model} />}
        </StopsSet.Provider>
      </main>
      {model === undefined ? undefined : (
        <details id="words">
          <summary>In words</summary>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long text is scrolled by keys */}
          <pre tabIndex={0}>{model.text}</pre>
        </details>
      )}
    </>
  )
}

/** Which memory the guest stops at when it changes. */
const StopsSet = createContext<ReadonlySet<string>>(new Set())
const keyOf = (memory: string, length: number): string => `${memory} ${length}`

/** What will stop the guest, shown or not, and what was said when it did. */
function Stops({ stops }: { stops: readonly PageStop[] }) {
  return (
    <section id="stops" aria-label="Stops at changes">
      <h2>Stops at changes</h2>
      <ul>
        {stops.map(({ memory, length, name, hit, said }) => (
          <li key={keyOf(memory, length)} class={hit ? 'hit' : undefined}>
            {hit ? 'Stopped here: ' : ''}
            {said ?? name} <Memory reference={memory}>memory</Memory>{' '}
            <button
              type="button"
              class="link"
              aria-label={`Remove the stop at ${name}`}
              onClick={() => page.send({ type: 'toggleStop', memory, length, name })}
            >
              remove
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}

/** What can be done with an entry beside opening its memory. */
function Actions({ watched: { memory, length, name }, short }: { watched: Watched; short?: boolean }) {
  const set = useContext(StopsSet).has(keyOf(memory, length))
  const who = memory.startsWith('hpa:')
    ? 'the hypervisor changes it'
    : "an instruction writes another value there; accessed and dirty bits, which the processor sets, don't stop"
  return (
    <span class="actions">
      <button
        type="button"
        title="Add it to the Watch view of the debugger"
        aria-label={`Watch ${name}`}
        onClick={() => page.send({ type: 'watch', memory, length })}
      >
        watch
      </button>
      <button
        type="button"
        aria-pressed={set}
        title={`Stop when ${who}`}
        aria-label={`Stop when ${name} changes`}
        onClick={() => page.send({ type: 'toggleStop', memory, length, name })}
      >
        {short ? 'stop' : 'stop on change'}
      </button>
    </span>
  )
}

function Walk({ model: { title, subtitle, steps, end } }: { model: TranslationModel }) {
  return (
    <>
      <section class="node start">
        <h2 class="name">
          <Memory reference={title}>{title}</Memory>
        </h2>
        <p class="faint">guest-virtual; {subtitle}</p>
      </section>
      {steps.map(step => (
        <>
          <Arrow />
          <StepBox step={step} />
        </>
      ))}
      <Arrow />
      <EndBox end={end} />
    </>
  )
}

function StepBox({ step: { name, entry, place, value, bits, rights, ept } }: { step: Step }) {
  return (
    <section class={bits.length === 0 ? 'node missing' : 'node'}>
      <h2 class="name">
        {name} <span class="value">{value}</span>
      </h2>
      <p class="faint">
        entry at {entry === undefined ? place : <Memory reference={entry.memory}>{place}</Memory>}{' '}
        {entry === undefined ? undefined : <Actions watched={entry} />}
      </p>
      {bits.length === 0 ? <p class="fault">not present</p> : <Bits bits={bits} />}
      <Rights rights={rights} />
      {ept === undefined ? undefined : <EptBox ept={ept} />}
    </section>
  )
}

function Bits({ bits }: { bits: readonly Bit[] }) {
  return (
    <p class="bits">
      {bits.map(({ name, meaning }) => (
        <span class="bit" title={meaning} key={name}>
          {name}
        </span>
      ))}
    </p>
  )
}

/** The state is said in words and by a line through it, not by colour alone. */
function Rights({ rights }: { rights: readonly Right[] }) {
  return (
    <p class="rights">
      {rights.map(({ name, allowed, lost }) => (
        <span
          key={name}
          class={`right${allowed ? '' : ' denied'}${lost ? ' lost' : ''}`}
          title={lost ? `${name}: taken away by this entry` : `${name}: ${allowed ? 'allowed' : 'not allowed'} so far`}
        >
          {allowed ? '✓' : '✗'} {name}
        </span>
      ))}
    </p>
  )
}

function EptBox({ ept: { from, to, rights, steps } }: { ept: Ept }) {
  return (
    <details class="ept">
      <summary>
        EPT {rights}: {from} → {to === undefined ? <span class="fault">not mapped</span> : `host ${to}`}
      </summary>
      <table>
        <tbody>
          {steps.map(step => (
            <tr key={step.name}>
              <th>{step.name}</th>
              <td>
                <Memory reference={step.entry.memory}>{step.entry.memory}</Memory>
              </td>
              <td class="value">{step.value}</td>
              <td>{step.rights}</td>
              <td>
                <Actions watched={step.entry} short />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  )
}

function EndBox({ end }: { end: End }) {
  if (end.kind === 'fault')
    return (
      <section class="node end">
        <p class="fault">{end.fault}</p>
      </section>
    )
  const { gpa, hpa, content, size, rights, notes, ept, fault } = end
  return (
    <section class="node end">
      <h2 class="name">page of {size}</h2>
      <p class="name">
        guest-physical <Memory reference={`phys:${gpa}`}>{`phys:${gpa}`}</Memory> <Actions watched={content} />
      </p>
      <Rights rights={rights} />
      {notes.length === 0 ? undefined : <p class="faint">{notes.join(', ')}</p>}
      {ept === undefined ? undefined : <EptBox ept={ept} />}
      {hpa === undefined ? (
        <p class="faint">no host frame</p>
      ) : (
        <p class="name">
          host-physical <Memory reference={`hpa:${hpa}`}>{`hpa:${hpa}`}</Memory>
        </p>
      )}
      {fault === undefined ? undefined : <p class="fault">{fault}</p>}
    </section>
  )
}

/** An arrow between two steps; what it says stands in the steps. */
function Arrow() {
  return (
    <svg class="arrow" viewBox="0 0 12 18" aria-hidden="true">
      <path d="M6 0v16M1 11l5 5 5-5" />
    </svg>
  )
}

function Memory({ reference, children }: { reference: string; children: ComponentChildren }) {
  return (
    <button
      type="button"
      class="link"
      title="Show this memory"
      onClick={() => page.send({ type: 'openMemory', memory: reference })}
    >
      {children}
    </button>
  )
}

render(<Page />, pageRoot())
