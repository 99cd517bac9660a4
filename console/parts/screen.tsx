import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import type { Feed } from '../app/feed.ts'
import type { Missing } from '../app/shapes.ts'
import { refusal, words } from '../words/words.ts'
import { Empty } from './basics.tsx'

/** A screen: its title, what can be done with it as a whole, and its content. */
export function ScreenFrame(props: {
  title: string
  lead?: ComponentChildren
  acts?: ComponentChildren
  children: ComponentChildren
}) {
  const { title, lead, acts, children } = props
  useEffect(() => {
    document.title = `${title} · Payments`
  }, [title])
  return (
    <>
      <header class="screen-head">
        <div>
          <h1>{title}</h1>
          {lead === undefined ? null : <p class="lead">{lead}</p>}
        </div>
        {acts === undefined ? null : <div class="acts">{acts}</div>}
      </header>
      {children}
    </>
  )
}

/** Says that what is shown is not all, while a part of the database cannot be read. */
export function LeftOut({ feed }: { feed: Feed<Missing> }) {
  return <LeftOutOf of={feed.known.value.data} />
}

/** The same of what is known. */
export function LeftOutOf({ of }: { of: Missing | null | undefined }) {
  const missing = of?.missing_shards ?? []
  if (missing.length === 0) return null
  return (
    <p class="banner" role="status">
      {words.value.leftOut(missing.length, missing.join(', '))}
    </p>
  )
}

/** What a feed knows, or why it knows nothing. */
export function Loaded<T>(props: {
  feed: Feed<T>
  /** What is offered where there is no such thing. */
  missing?: ComponentChildren
  children: (data: T) => ComponentChildren
}) {
  const { data, problem } = props.feed.known.value
  if (data !== null) return <>{props.children(data)}</>
  if (problem === null) return <p class="quiet loading">{words.value.loading}</p>
  if (problem.status === 404) return <Empty title={words.value.notFound}>{props.missing}</Empty>
  return (
    <Empty title={words.value.refused}>
      <p>{refusal(problem)}</p>
    </Empty>
  )
}
