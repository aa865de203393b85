/** The page of virtqueues as rings: a queue is chosen, its ring drawn, a slot's chain opened, its history told. */

import { render } from 'preact'
import { useState } from 'preact/hooks'
import { connectPage, pageRoot } from '../pages/page-api.ts'
import { type HostMessage, isHostMessage, type PageMessage, parseWish, STOP_STEPS, type Wish } from './messages.ts'
import { RingPicture } from './ring-picture.tsx'
import { ChainDetails, DescriptorTable, FieldTable, HandTable, HistoryTable, MemoryLink } from './ring-tables.tsx'
import type { Circle, RingsModel, Segment, ShownQueue } from './rings-model.ts'

const page = connectPage<PageMessage, HostMessage>(isHostMessage)

const openMemory = (memory: string): void => page.send({ type: 'openMemory', memory })

function Page() {
  const [wish, setWish] = useState<Wish>(parseWish(page.saved()) ?? {})
  const [status, setStatus] = useState('')
  const [model, setModel] = useState<RingsModel>()

  const look = (wanted: Wish): void => {
    setWish(wanted)
    page.save(wanted)
    page.send({ type: 'look', wish: wanted })
  }
  page.useMessages(message => {
    switch (message.type) {
      case 'stopped':
        return look(wish)
      case 'running':
        return setStatus('The guest is running.')
      case 'ended':
        setModel(undefined)
        return setStatus('No guest is being debugged.')
      case 'failed':
        return setStatus(message.message)
      case 'ring':
        setStatus(message.model.shown === undefined ? 'This machine has no virtio device.' : '')
        return setModel(message.model)
    }
  })

  return (
    <>
      {model?.shown === undefined ? undefined : <Chooser model={model} shown={model.shown} look={look} />}
      <p id="status" role="status" aria-live="polite">
        {status}
      </p>
      {model?.shown === undefined ? undefined : <Shown shown={model.shown} wish={wish} look={look} />}
    </>
  )
}

function Chooser({ model, shown, look }: { model: RingsModel; shown: ShownQueue; look(wish: Wish): void }) {
  const { device, queue } = shown
  const queues = model.choices.find(choice => choice.device === device)?.queues ?? []
  return (
    <form id="choice" onSubmit={event => event.preventDefault()}>
      <select
        id="device"
        aria-label="Device"
        value={device}
        onChange={event => look({ device: event.currentTarget.value })}
      >
        {model.choices.map(choice => (
          <option key={choice.device} value={choice.device}>
            {choice.broken ? `${choice.device} (broken)` : choice.device}
          </option>
        ))}
      </select>
      <select
        id="queue"
        aria-label="Queue"
        value={queue}
        onChange={event => look({ device, queue: Number(event.currentTarget.value) })}
      >
        {queues.map(({ index, name, enabled }) => (
          <option key={index} value={index}>
            {`${index} ${name}${enabled ? '' : ' (not enabled)'}`}
          </option>
        ))}
      </select>
    </form>
  )
}

function Shown({ shown, wish, look }: { shown: ShownQueue; wish: Wish; look(wish: Wish): void }) {
  const { device, queue, title, subtitle, features, faults, picture, fields, areas, history } = shown
  const here = { device, queue }
  /** A slot is opened, and closed again; a segment of many slots becomes the ring that is shown. */
  const choose = ({ ring }: Circle, { first, count, selected }: Segment): void => {
    const { window } = wish
    const chosen = selected ? {} : { selected: { ring, slot: first } }
    look(count > 1 ? { ...here, window: { first, count } } : { ...here, ...(window && { window }), ...chosen })
  }
  const actions = {
    openMemory,
    selectDescriptor: (slot: number): void => {
      const ring = picture?.packed ? 'descriptor ring' : 'descriptor table'
      const closes = wish.selected?.ring === ring && wish.selected.slot === slot
      look({ ...here, ...(wish.window && { window: wish.window }), ...(closes ? {} : { selected: { ring, slot } }) })
    },
  }
  return (
    <main>
      <h2 id="title">{title}</h2>
      <p class="faint">{subtitle}</p>
      <Buttons shown={shown} />
      {faults.map(({ text }) => (
        <p class="fault" role="alert" key={text}>
          ✗ {text}
        </p>
      ))}
      {picture === undefined ? (
        <p class="faint">The driver has not set this queue up: there is no ring in memory.</p>
      ) : (
        <>
          {picture.zoomed ? (
            <p id="window">
              Slots {picture.window.first.toLocaleString('en-US')} to{' '}
              {(picture.window.first + picture.window.count - 1).toLocaleString('en-US')} of{' '}
              {picture.size.toLocaleString('en-US')}.{' '}
              <button type="button" class="link" onClick={() => look(here)}>
                Whole ring
              </button>
            </p>
          ) : undefined}
          <div id="rings">
            <RingPicture picture={picture} choose={choose} />
            <div id="beside">
              {picture.selected === undefined ? undefined : (
                <ChainDetails selected={picture.selected} actions={actions} />
              )}
              <DescriptorTable picture={picture} actions={actions} />
            </div>
          </div>
          <HandTable hands={picture.hands} />
          <details id="words">
            <summary>The rings in words</summary>
            {picture.circles.map(({ ring, text, segments }) => (
              <div key={ring}>
                <p>{text}</p>
                <ul>
                  {segments
                    .filter(({ states, count }) => states.free < count)
                    .map(segment => (
                      <li key={segment.first}>{segment.text}</li>
                    ))}
                </ul>
              </div>
            ))}
          </details>
          <FieldTable fields={fields} />
          <p id="areas" class="faint">
            {areas.map(({ name, memory }) => (
              <span key={name}>
                {name} <MemoryLink memory={memory} open={openMemory} />{' '}
              </span>
            ))}
          </p>
        </>
      )}
      <p id="features">
        Features in effect: <span class="value">{features.join(' ') || 'none'}</span>
      </p>
      <section aria-label="Completed chains">
        <h2>Completed</h2>
        <p class="faint">{history.text}</p>
        {history.rows.length === 0 ? undefined : <Phases />}
        <HistoryTable history={history} />
      </section>
    </main>
  )
}

const STOP_NAMES = { kick: 'Stop at a kick', used: 'Stop at a used buffer' }

function Buttons({ shown: { device, queue, stops, traced } }: { shown: ShownQueue }) {
  return (
    <div id="buttons">
      {STOP_STEPS.map(step => (
        <button
          key={step}
          id={`stop-${step}`}
          type="button"
          class="toggle"
          aria-pressed={stops[step]}
          title={`The guest stops at each ${step === 'kick' ? 'kick' : 'buffer that is used'} of this queue`}
          onClick={() => page.send({ type: 'stop', step, device, queue })}
        >
          {stops[step] ? '● ' : '○ '}
          {STOP_NAMES[step]}
        </button>
      ))}
      <button
        id="trace"
        type="button"
        class="toggle"
        aria-pressed={traced}
        title="From now on the history says when the driver posted each chain"
        onClick={() => page.send({ type: 'trace', on: !traced, device, queue })}
      >
        {traced ? '● ' : '○ '}
        Note when posted
      </button>
    </div>
  )
}

/** Of the bars. */
function Phases() {
  return (
    <p id="phases" class="faint">
      {(['kicked', 'taken', 'used', 'interrupt'] as const).map(step => (
        <span key={step}>
          <svg class="bar key" viewBox="0 0 10 10" aria-hidden="true">
            <rect class={step} width="10" height="10" />
          </svg>
          until {step}
        </span>
      ))}
    </p>
  )
}

render(<Page />, pageRoot())
