//! Goes through the dashboard, chapter by chapter.

use crate::browser::Browser;
use crate::devnet::Devnet;
use crate::page::{evaluate, number, open, picture, resize, until};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::path::Path;

/// Networks that a devnet has.
const NETWORKS: usize = 5;
/// Widths of a screen and of a phone.
const WIDE: u32 = 1400;
const NARROW: u32 = 390;

/// Elements of a page that shows as much as it ever does.
const ELEMENTS_MAX: i64 = 4_000;

/// Tells the story.
pub(crate) async fn tell(polypeer: &Path, chromium: &Path, pictures: Option<&Path>) -> Result<()> {
    let devnet = Devnet::start(polypeer).await?;
    let mut browser = Browser::start(chromium).await?;
    let page = &mut browser;
    resize(page, WIDE, "light").await?;
    chapter("it loads", loads(page, &devnet).await)?;
    chapter("it follows", follows(page).await)?;
    chapter("another network is chosen", chooses(page).await)?;
    chapter("what peers say stays text", is_text(page).await)?;
    chapter("it keeps no more than it shows", is_bounded(page).await)?;
    chapter("it fits a phone, light and dark", fits(page, pictures).await)?;
    chapter("nothing was complained of", is_content(page))?;
    chapter("it acts with the token alone", acts(page, &devnet.token).await)?;
    chapter("it rests when it is not seen", rests(page).await)?;
    chapter("nothing was complained of", is_content(page))?;
    devnet.end().await?;
    let live = "document.querySelector('#live').textContent === 'The node does not answer'";
    chapter("it says when the node is gone", until(page, "the page says so", live).await)?;
    browser.end().await
}

fn chapter(name: &str, outcome: Result<()>) -> Result<()> {
    println!("{} {name}", if outcome.is_ok() { "ok    " } else { "FAILED" });
    outcome.with_context(|| name.to_owned())
}

fn is_content(page: &Browser) -> Result<()> {
    ensure!(page.complaints.is_empty(), "{:#?}", page.complaints);
    Ok(())
}

async fn loads(page: &mut Browser, devnet: &Devnet) -> Result<()> {
    open(page, &devnet.url).await?;
    until(page, "all networks have a card", &format!("document.querySelectorAll('.card').length === {NETWORKS}"))
        .await?;
    until(page, "one of them is shown", "!document.querySelector('#detail').hidden").await?;
    until(page, "events come", "document.querySelector('#live').textContent === 'Live'").await?;
    let policy = evaluate(page, "fetch('.').then((page) => page.headers.get('content-security-policy'))").await?;
    ensure!(policy.as_str().is_some_and(|policy| policy.contains("script-src 'self';")), "{policy}");
    // The policy bites: a script that is written into the page does not run.
    let inline = "(() => { const one = document.createElement('script'); one.textContent = 'window.ran = 1'; \
                  document.body.append(one); one.remove(); return window.ran === undefined; })()";
    ensure!(evaluate(page, inline).await? == json!(true), "a script in the page ran");
    // Which is a complaint, of the browser's about this test.
    until(page, "the browser says so", "true").await?;
    ensure!(page.complaints.drain(..).all(|one| one.contains("Content Security Policy")), "it complains of more");
    Ok(())
}

async fn follows(page: &mut Browser) -> Result<()> {
    let height = "Number(document.querySelector('.card strong').textContent.replaceAll(',', ''))";
    let before = number(page, height).await?;
    until(page, "the chain grows", &format!("{height} > {before} + 1")).await?;
    until(page, "peers are listed", "document.querySelectorAll('#peers tbody tr').length > 1").await?;
    until(
        page,
        "bytes flow",
        "[...document.querySelectorAll('#peers td small')].some((rate) => /[1-9].* .?B\\/s/.test(rate.textContent))",
    )
    .await?;
    until(page, "nodes are drawn", "document.querySelectorAll('#topology .own').length === 3").await?;
    until(page, "and lines between them", "document.querySelectorAll('#topology line').length > 1").await?;
    until(page, "blocks are followed", "document.querySelectorAll('#waterfall rect.later').length > 2").await?;
    until(page, "delays are counted", "document.querySelectorAll('#propagation rect.full').length > 0").await?;
    until(page, "things happen", "document.querySelectorAll('#feed li time').length > 3").await?;
    let tips = "(() => { document.querySelector('#kinds input[value=tip]').click(); return true; })()";
    evaluate(page, tips).await?;
    until(page, "blocks are events", "document.querySelectorAll('#feed [data-kind=tip]').length > 3").await?;
    until(page, "the risk is gauged", "document.querySelector('#risk .level')?.textContent === 'low'").await?;
    until(page, "the book is counted", "Number(document.querySelector('#book-count').textContent) > 0").await
}

async fn chooses(page: &mut Browser) -> Result<()> {
    for name in ["kaspa-simnet-2", "mina-devnet", "bumo-devnet", "anya-devnet"] {
        let link = format!("document.querySelector('.cards a[href=\"#{name}\"]')");
        // The card of a family leads to its chosen or first node, the chips to all.
        until(page, "there is a way to it", &format!("(() => {{ {link}?.click(); return {link} !== null; }})()"))
            .await?;
        until(page, "it is shown", &format!("document.querySelector('#chosen').textContent === '{name}'")).await?;
        until(page, "with its peers", "document.querySelectorAll('#peers tbody tr').length > 0").await?;
    }
    Ok(())
}

// What the page's own parts make of a peer that says what would run if it were anything but text.
async fn is_text(page: &mut Browser) -> Result<()> {
    let found = evaluate(page, include_str!("story/hostile.js")).await?;
    let wanted = json!({ "isThere": true, "isText": true, "isPrintable": true, "isQuiet": true });
    ensure!(found == wanted, "a peer's text is more than text: {found}");
    let own = "['#peers', '#bans'].every((place) => !document.querySelector(place).textContent.includes('<img'))";
    until(page, "what the node says takes its place", own).await
}

async fn is_bounded(page: &mut Browser) -> Result<()> {
    let kept = evaluate(page, include_str!("story/days.js")).await?;
    let wanted = json!({ "events": 600, "delays": 512, "blocks": 64, "tips": 120, "forgotten": 0 });
    ensure!(kept == wanted, "it keeps {kept}, and not {wanted}");
    let elements = number(page, "document.querySelectorAll('*').length").await?;
    ensure!(elements < ELEMENTS_MAX, "the page has {elements} elements");
    Ok(())
}

async fn fits(page: &mut Browser, pictures: Option<&Path>) -> Result<()> {
    let mut colours = Vec::new();
    for (width, scheme) in [(WIDE, "dark"), (NARROW, "dark"), (NARROW, "light"), (WIDE, "light")] {
        resize(page, width, scheme).await?;
        until(page, "it has this width", &format!("window.innerWidth === {width}")).await?;
        let overhang =
            number(page, "document.documentElement.scrollWidth - document.documentElement.clientWidth").await?;
        ensure!(overhang <= 0, "at {width} it is {overhang} pixels too wide");
        colours.push(evaluate(page, "getComputedStyle(document.body).backgroundColor").await?);
        if let Some(folder) = pictures {
            std::fs::create_dir_all(folder)?;
            picture(page, &folder.join(format!("{width}-{scheme}.png"))).await?;
        }
    }
    ensure!(colours[0] == colours[1] && colours[2] == colours[3] && colours[0] != colours[2], "{colours:?}");
    Ok(())
}

// Opens the dialog if need be, and gives this token.
fn unlock(token: &str) -> String {
    format!(
        "(() => {{ if (!document.querySelector('#token-dialog').open) document.querySelector('#unlock').click(); \
         document.querySelector('#token').value = '{token}'; \
         document.querySelector('#token-dialog button[value=keep]').click(); return true; }})()"
    )
}

async fn acts(page: &mut Browser, token: &str) -> Result<()> {
    let drop = "(() => { const row = document.querySelector('#peers tbody tr'); window.gone = row; \
                row.querySelector('.actions button').click(); return true; })()";
    let said = |word: &str| format!("document.querySelector('#said').textContent.includes('{word}')");
    evaluate(page, drop).await?;
    until(page, "it asks for the token", "document.querySelector('#token-dialog').open").await?;
    evaluate(page, &unlock("wrong")).await?;
    until(page, "the node refuses", &said("api.token")).await?;
    until(page, "it is forgotten", "sessionStorage.length === 0").await?;
    // Which the browser tells of, and only that.
    ensure!(page.complaints.drain(..).all(|one| one.contains("401")), "it complains of more");

    evaluate(page, &unlock(token)).await?;
    until(page, "it is kept in this tab", "sessionStorage.length === 1 && localStorage.length === 0").await?;
    evaluate(page, drop).await?;
    until(page, "the connection is dropped", &said("is dropped")).await?;
    until(page, "its row is gone", "!window.gone.isConnected").await?;
    let ban = "(() => { document.querySelector('#ban-other').click(); \
               document.querySelector('#ban-address').value = '192.0.2.7'; \
               document.querySelector('#ban-dialog button[value=ban]').click(); return true; })()";
    evaluate(page, ban).await?;
    until(page, "the ban is listed", "document.querySelector('#bans').textContent.includes('192.0.2.7')").await?;
    until(page, "with its reason", "document.querySelector('#bans').textContent.includes('operator')").await?;
    evaluate(page, "document.querySelector('#bans [data-address=\"192.0.2.7\"] button').click()").await?;
    until(page, "it is lifted", "!document.querySelector('#bans').textContent.includes('192.0.2.7')").await?;
    let why = "(() => { document.querySelector('#peers button.link')?.click(); \
               return document.querySelector('#peer-dialog').open; })()";
    until(page, "a peer is explained", why).await?;
    // It may have come without any choice of ours.
    let told = "!document.querySelector('#peer-dialog .reasons').textContent.includes('Asking')";
    until(page, "with the reasons that there are", told).await?;
    evaluate(page, "document.querySelector('#peer-dialog button').click()").await?;
    until(page, "and closed", "!document.querySelector('#peer-dialog').open").await
}

// A tab behind another one asks for nothing, and misses nothing when it comes back.
async fn rests(page: &mut Browser) -> Result<()> {
    let hide = |is_hidden: bool| {
        format!(
            "(() => {{ Object.defineProperty(document, 'hidden', {{ configurable: true, get: () => {is_hidden} }}); \
             document.dispatchEvent(new Event('visibilitychange')); return true; }})()"
        )
    };
    evaluate(page, &hide(true)).await?;
    // What was asked before may still be answered; then there must be no more, for three times as long as it pauses.
    let asked = "(async () => { const asked = () => performance.getEntriesByType('resource').length; \
                 const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms)); \
                 performance.setResourceTimingBufferSize(100000); performance.clearResourceTimings(); \
                 let before = -1; while (before !== asked()) { before = asked(); await wait(1500); } \
                 await wait(6000); return asked() - before; })()";
    let more = number(page, asked).await?;
    ensure!(more == 0, "it asked {more} times while it was hidden");
    let height = "Number(document.querySelector('.card strong').textContent.replaceAll(',', ''))";
    let before = number(page, height).await?;
    evaluate(page, &hide(false)).await?;
    until(page, "it goes on", &format!("{height} > {before}")).await?;
    until(page, "events come again", "document.querySelector('#live').textContent === 'Live'").await
}
