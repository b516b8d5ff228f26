// node release.mjs  <HUB_URL, HUB_TOKEN>  ->  one JSON line with what the client was told
//
// One repository's life, from its creation to its end, as https://huggingface.co/docs/huggingface.js/hub
// describes it. Nothing is set but the address and the token.

import * as hub from "@huggingface/hub";

const hubUrl = process.env.HUB_URL;
const accessToken = process.env.HUB_TOKEN;

const told = {};
const weights = new Uint8Array(3_000_000).map((_, i) => (i * 7919) % 251);

async function gather(entries) {
  const all = [];
  for await (const entry of entries) all.push(entry);
  return all;
}

const me = await hub.whoAmI({ hubUrl, accessToken });
told.name = me.name;

for (const type of ["model", "dataset"]) {
  const repo = { type, name: `${me.name}/javascript-${type}` };
  const at = { hubUrl, accessToken, repo };
  const seen = (told[type] = {});

  const created = await hub.createRepo({ ...at, visibility: "private" });
  seen.url = created.repoUrl;
  seen.exists = await hub.repoExists(at);

  const first = await hub.uploadFiles({
    ...at,
    commitTitle: "regular and large files",
    files: [
      { path: "README.md", content: new Blob(["---\nlicense: mit\n---\n# From JavaScript\n"]) },
      { path: "data/text with a space.txt", content: new Blob(["é, 漢字\n"]) },
      { path: "weights.safetensors", content: new Blob([weights]) },
    ],
  });
  seen.commit = first.commit.oid;

  if (type === "model") {
    // Large enough to be sent in parts.
    const large = new Blob(Array.from({ length: 40 }, (_, i) => new Uint8Array(1 << 20).fill(i)));
    await hub.uploadFile({ ...at, file: { path: "large.bin", content: large } });
    const back = await hub.downloadFile({ ...at, path: "large.bin" });
    seen.large = Buffer.from(await large.arrayBuffer()).equals(Buffer.from(await back.arrayBuffer()));
    await hub.deleteFile({ ...at, path: "large.bin" });
  }

  // The same bytes once more: nothing is sent, and nothing must break.
  await hub.uploadFile({ ...at, file: { path: "again.safetensors", content: new Blob([weights]) } });

  seen.files = (await gather(hub.listFiles({ ...at, recursive: true, expand: true }))).map((entry) => ({
    path: entry.path,
    type: entry.type,
    size: entry.size,
    lfs: entry.lfs !== undefined,
    dated: entry.lastCommit !== undefined,
  }));

  const text = await hub.downloadFile({ ...at, path: "data/text with a space.txt" });
  seen.text = await text.text();
  const info = await hub.fileDownloadInfo({ ...at, path: "weights.safetensors" });
  seen.size = info.size;
  const back = await hub.downloadFile({ ...at, path: "weights.safetensors" });
  seen.same = Buffer.from(await back.arrayBuffer()).equals(Buffer.from(weights));
  const part = await back.slice(1_000_000, 1_000_010).arrayBuffer();
  seen.part = Buffer.from(part).equals(Buffer.from(weights.slice(1_000_000, 1_000_010)));
  seen.raw = await (await hub.downloadFile({ ...at, path: "weights.safetensors", raw: true })).text();
  seen.missing = await hub.downloadFile({ ...at, path: "none.txt" });
  seen.paths = (await hub.pathsInfo({ ...at, paths: ["README.md", "none"] })).map((entry) => entry.path);

  await hub.createBranch({ ...at, branch: "draft/one" });
  await hub.uploadFile({ ...at, branch: "draft/one", file: { path: "draft.txt", content: new Blob(["d"]) } });
  seen.onBranch = await hub.fileExists({ ...at, path: "draft.txt", revision: "draft/one" });
  seen.onMain = await hub.fileExists({ ...at, path: "draft.txt" });
  await hub.deleteBranch({ ...at, branch: "draft/one" });

  seen.info =
    type === "model"
      ? (await hub.modelInfo({ hubUrl, accessToken, name: repo.name, additionalFields: ["sha", "tags"] })).private
      : (await hub.datasetInfo({ hubUrl, accessToken, name: repo.name, additionalFields: ["sha", "tags"] })).private;

  await hub.deleteFile({ ...at, path: "data/text with a space.txt" });
  await hub.deleteFiles({ ...at, paths: ["again.safetensors"] });
  seen.left = (await gather(hub.listFiles({ ...at, recursive: true }))).map((entry) => entry.path);
  seen.commits = (await gather(hub.listCommits(at))).map((commit) => commit.title);

  const opened = await hub.commit({
    ...at,
    title: "a proposal",
    isPullRequest: true,
    operations: [{ operation: "addOrUpdate", path: "proposed.txt", content: new Blob(["p"]) }],
  });
  seen.pullRequest = opened.pullRequestUrl;

  try {
    await hub.commit({ ...at, title: "stale", parentCommit: first.commit.oid, operations: [{ operation: "delete", path: "README.md" }] });
    seen.stale = "accepted";
  } catch (error) {
    seen.stale = error.statusCode;
  }

  await hub.deleteRepo(at);
  seen.existsAfter = await hub.repoExists(at);
}

console.log(JSON.stringify(told));
