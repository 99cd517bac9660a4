import { mkdirSync, writeFileSync } from 'node:fs'
import { dashboardFile } from '../test/grafana-dashboard.ts'

/** Write the dashboard for Grafana from the table of its panels. A test compares. */
const folder = new URL('../deploy/grafana/', import.meta.url)
mkdirSync(folder, { recursive: true })
writeFileSync(new URL('payments.json', folder), dashboardFile())
