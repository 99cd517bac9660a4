import { remove } from '../app/api.ts'
import { useFeed } from '../app/feed.ts'
import { may, session, signOut } from '../app/session.ts'
import { Facts, Section, State, When } from '../parts/basics.tsx'
import { Command } from '../parts/command.tsx'
import { ask, perform } from '../parts/dialog.tsx'
import { Loaded, ScreenFrame } from '../parts/screen.tsx'
import { Table } from '../parts/table.tsx'
import { language, speak, words } from '../words/words.ts'
import { Configuration, Processes } from './service.tsx'

/** This service, who may use it, and who is looking. */
export function Settings() {
  const w = words.value
  return (
    <ScreenFrame title={w.screens.settings}>
      <div class="narrow">
        <About />
      </div>
      {may('operate') ? (
        <>
          <Processes />
          <Keys />
          <Sessions />
          <Configuration />
        </>
      ) : null}
    </ScreenFrame>
  )
}

function About() {
  const w = words.value
  const known = session.value
  if (known === null) return <p class="quiet">{w.loading}</p>
  const { service } = known
  const languages = (
    <select
      aria-label={w.language}
      value={language.value}
      onChange={({ currentTarget }) => speak(currentTarget.value === 'ru' ? 'ru' : 'en')}
    >
      <option value="en">English</option>
      <option value="ru">Русский</option>
    </select>
  )
  return (
    <>
      <Facts
        facts={[
          [w.service, service.title],
          [w.version, service.version],
          [w.environment, service.environment ?? '—'],
          [w.booksCurrency, service.currency ?? '—'],
          [w.you, known.key_name ?? (known.keys_required ? '—' : w.nobodyAsked)],
          [w.scopes, known.scopes.join(', ')],
          ...(known.expires_at === null
            ? []
            : [[w.sessionEnds, <When at={known.expires_at} />] as const]),
          [w.language, languages],
          [w.appearance, w.bySystem],
        ]}
      />
      <p class="row">
        <a href="/docs">{w.apiDocs}</a>
        {known.session_id === null ? null : (
          <button type="button" onClick={() => void signOut()}>
            {w.signOut}
          </button>
        )}
      </p>
    </>
  )
}

interface ApiKey {
  readonly id: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly created_at: string
  readonly revoked_at: string | null
}

function Keys() {
  const w = words.value
  const feed = useFeed<{ data: readonly ApiKey[] }>('/keys')
  return (
    <Section title={w.apiKeys}>
      <Loaded feed={feed}>
        {({ data }) =>
          data.length === 0 ? (
            <p class="quiet">{w.noKeys}</p>
          ) : (
            <Table
              label={w.apiKeys}
              columns={[
                [w.state],
                [w.name],
                [w.scopes, 'wide'],
                [w.made, 'wide number'],
                [w.revoke, 'unseen'],
              ]}
            >
              {data.map((key) => (
                <Key key={key.id} of={key} />
              ))}
            </Table>
          )
        }
      </Loaded>
      <p class="quiet note">{w.makeKey}</p>
      <Command text="node dist/main.js keys create --name my-shop --scopes read,write" />
    </Section>
  )
}

function Key({ of: { id, name, scopes, created_at: at, revoked_at: revoked } }: { of: ApiKey }) {
  const w = words.value
  return (
    <tr>
      <td>
        <State
          state={revoked === null ? 'enabled' : 'disabled'}
          text={revoked === null ? w.valid : w.revoked}
        />
      </td>
      <td class="clip">
        {name} <code class="quiet">{id}</code>
      </td>
      <td class="wide quiet">{scopes.join(', ')}</td>
      <td class="wide number quiet">
        <When at={at} />
      </td>
      <td class="number">
        {revoked === null ? (
          <button type="button" onClick={() => askRevoke(id, name)}>
            {w.revoke}
          </button>
        ) : null}
      </td>
    </tr>
  )
}

function askRevoke(id: string, name: string): void {
  const w = words.value
  ask({
    title: w.revokeTitle(name),
    says: w.revokeSays,
    fields: [],
    verb: w.revoke,
    danger: true,
    run: () => remove(`/keys/${id}`),
  })
}

interface OpenSession {
  readonly id: string
  readonly key_name: string
  readonly used_at: string
  readonly expires_at: string
  readonly current: boolean
}

function Sessions() {
  const w = words.value
  const feed = useFeed<{ data: readonly OpenSession[] }>('/sessions')
  return (
    <Section title={w.sessions}>
      <Loaded feed={feed}>
        {({ data }) =>
          data.length === 0 ? (
            <p class="quiet">{w.noSessions}</p>
          ) : (
            <ul class="relatives narrow">
              {data.map((one) => (
                <li key={one.id}>
                  <b>{one.key_name}</b>
                  <span class="quiet">
                    {one.current ? w.thisOne : <When at={one.used_at} form="age" />}
                  </span>
                  <button
                    type="button"
                    onClick={() => void perform(w.end, remove(`/sessions/${one.id}`))}
                  >
                    {w.end}
                  </button>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Section>
  )
}
