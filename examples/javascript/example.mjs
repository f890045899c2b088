#!/usr/bin/env node
// Checks a name against a list, then makes a watchlist.
//
//     example.mjs [NAME]

import { kycFetch } from 'kyc-auth'

async function post(path, body) {
  const headers = { 'Content-Type': 'application/json' }
  const response = await kycFetch(path, { method: 'POST', headers, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`)
  return (await response.json()).data
}

try {
  const name = process.argv[2] ?? 'Jane Roe'
  console.log(await post('/kyc', { subject: { full_name: name }, list_name: 'ofac' }))
  console.log(await post('/kyc/watchlists', { name: 'My Watchlist', lists_to_monitor: ['ofac', 'un'] }))
} catch (err) {
  console.error(`example: ${err.message}`)
  process.exitCode = 1
}
