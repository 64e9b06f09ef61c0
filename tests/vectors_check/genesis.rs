//! Networks: parameters, the genesis block made of them, and the subsidy.

use farthing::{Height, Network, Params, Work, codec::Canonical as _, header::commitment, params::ParamsFields};
use farthing_consensus::{AccountTree, HeaderContext};

use super::{Case, Vectors, network, refusal::Refusal, typed};

pub(crate) const LISTS: &[&str] = &["networks", "accepted_parameters", "refused_parameters", "subsidies"];

fn read(case: Case<'_>) -> Result<Params, Refusal> {
    Ok(Params::new(ParamsFields::from_canonical(&case.bytes("parameters_bytes"))?)?)
}

/// Parameters that are read from their bytes, and are those of the typed form.
fn accepted(case: Case<'_>) -> Params {
    let params = read(case).unwrap_or_else(|refusal| panic!("{case}: {refusal:?}"));
    assert_eq!(*params, typed::parameters(case.object("parameters")), "{case}");
    assert_eq!(params.to_canonical(), case.bytes("parameters_bytes"), "{case}");
    assert_eq!(*params.genesis_id(), case.hash("genesis_id"), "{case}");
    params
}

#[test]
fn networks_and_their_genesis_are_those_of_the_vectors() {
    let file = Vectors::open("genesis", LISTS);
    let mut named = 0;
    for case in file.cases("networks") {
        let params = accepted(case);
        if let Some(network) = Network::by_name(&params.name) {
            assert_eq!(*network.params(), params, "{case}: the built-in network is another");
            named += 1;
        }
        let genesis = params.genesis();
        assert_eq!(genesis.header, typed::header(case.object("header")), "{case}");
        assert_eq!(genesis.header.to_canonical(), case.bytes("header_bytes"), "{case}");
        assert_eq!(genesis.coinbase, typed::coinbase(case.object("coinbase")), "{case}");
        assert_eq!(genesis.to_canonical(), case.bytes("block_bytes"), "{case}");
        let accounts = AccountTree::genesis(&params, &()).root();
        assert_eq!(accounts, case.hash("accounts_root"), "{case}");
        assert_eq!(genesis.header.commitment, commitment(&accounts, &farthing::Hash::ZERO), "{case}");
        let work = HeaderContext::genesis(&params).total_work();
        assert_eq!(work, Work::new(case.number("work")), "{case}");
    }
    assert_eq!(named, Network::ALL.len(), "the vectors have every built-in network");
    for case in file.cases("accepted_parameters") {
        accepted(case);
    }
    for case in file.cases("refused_parameters") {
        case.refused(read(case));
    }
    for case in file.cases("subsidies") {
        let subsidy = network(case.text("network")).subsidy(Height::new(case.number("height")));
        assert_eq!(subsidy, typed::mites(case, "subsidy_mites"), "{case}");
    }
}
